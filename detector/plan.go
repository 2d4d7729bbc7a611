package detector

import (
	"fmt"
	"time"
)

// The bounds of Plan: pings every 10 ms, and settings of at most a day.
const (
	minDetection = 40 * time.Millisecond
	maxDetection = maxSetting
)

// A Schedule is how to watch a peer so that its death is detected in time.
type Schedule struct {
	// Interval is the length of a slot: ping at its end unless there was proof
	// of life in its second half. So an idle peer is pinged once per Interval, and a
	// busy one not at all.
	Interval time.Duration

	// Config is for a detector that is given these pings by Expect.
	Config Config
}

// Plan returns the cheapest schedule by which a peer that dies at any moment is
// convicted within detection, at most: one slot and a half until something is
// owed, and then two slots and a half of silence. The least silence that could
// convict is a slot and a half, which a slow call may owe to a live peer before
// the first ping is sent, so that a slot remains for the network and for
// pauses: detection must be above four times the longest pause to forgive. It
// must be from 40 ms to 24 h.
//
// Convictions cannot come sooner than the caller looks: see Detector.Deadline.
func Plan(detection time.Duration) (Schedule, error) {
	if detection < minDetection || detection > maxDetection {
		return Schedule{}, fmt.Errorf("detector: Plan for detection within %v; want from %v to %v",
			detection, minDetection, maxDetection)
	}
	slot := detection / 4
	return Schedule{
		Interval: slot,
		Config: Config{
			FirstInterval:   slot,
			AcceptablePause: slot / 2,
			MinStdDev:       slot / 10,
			MaxSilence:      detection - slot - (slot+1)/2,
		},
	}, nil
}
