package detector

import (
	"fmt"
	"time"
)

// The bounds of Plan: a ping every 10 ms, and Config's largest duration.
const (
	minDetection = 40 * time.Millisecond
	maxDetection = maxSetting
)

// A Schedule says how often to ping a peer, and the Config of its detector.
type Schedule struct {
	// Interval is the length of a probe slot. Ping at the end of each slot, unless there
	// was proof of life in its second half. So an idle peer is pinged once per Interval,
	// and a busy one never.
	Interval time.Duration

	// Config is for a detector whose Expect is called for each ping.
	Config Config
}

// Plan returns the schedule with the fewest pings that convicts a dead peer within
// detection, which must be from 40 ms to 24 h.
//
// The slot is a quarter of detection. A peer that dies owes an answer after one slot and
// a half at most, and is convicted after two slots and a half of silence. A live peer
// that runs a slow call may be silent for a slot and a half before the first ping; the
// remaining slot is for the network and for pauses. So detection must be more than four
// times the longest pause to tolerate.
//
// The caller must check the peer in time: see Detector.Deadline.
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
