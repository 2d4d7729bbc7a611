package detector

import (
	"fmt"
	"math"
	"time"
)

// Bounds that keep n·Σx² within 128 bits and every sum of times within 64.
const (
	maxWindow   = 10_000
	maxInterval = 1 << 50 // ns, 13 days: a longer interval counts as this long
	maxSetting  = 24 * time.Hour
)

// Config describes a Detector. The zero Config is a sound default for a peer
// that is probed once a second.
type Config struct {
	// Model is the law of silence. Zero is LossAware.
	Model Model

	// WindowSize is the number of intervals remembered: for Normal and
	// Exponential the length of the window, 8 bytes each and allocated as it
	// fills; for LossAware the memory over which the past fades. Zero is 1000,
	// as in the paper.
	WindowSize int

	// MinStdDev is the floor of the standard deviation, without which a regular
	// peer would be suspected of the first microsecond of lateness. Zero is
	// 100 ms, as in Akka; negative is no floor (in truth, 1 ns).
	MinStdDev time.Duration

	// AcceptablePause is the lateness that raises no suspicion: garbage
	// collection, a retransmission. Zero is 500 ms; negative is none.
	AcceptablePause time.Duration

	// FirstInterval is the expected time between heartbeats: the length of a
	// probe slot. The window starts with two samples, a quarter below and a
	// quarter above it, as in Akka, so that a peer that dies before its first
	// heartbeat is found too. Zero is 1 s. Negative is none: phi is 0 until an
	// interval has been seen, and proofs are not gathered in slots.
	FirstInterval time.Duration

	// MaxInterval keeps longer intervals out of the window, as in Cassandra.
	// Zero sets no length and relies on Akka's rule, which holds for positive
	// values also: an interval at whose end the peer was suspect is an outage
	// and stays out. If there was another outage in its memory, LossAware
	// learns of it, but no more than that it was as long as what convicts.
	// Negative records every interval, as in the paper; a 300 s outage then
	// blinds the detector for a window's length.
	MaxInterval time.Duration

	// MaxSilence bounds the time of detection under LossAware: phi is at least
	// Threshold from this length of silence on, even if the peer was seen to
	// pause for so long that phi would ask for more patience. Zero is no bound
	// for a peer that sends heartbeats unprompted, and twice FirstInterval plus
	// AcceptablePause once Expect is used; negative is no bound.
	MaxSilence time.Duration

	// Threshold is the phi from which Suspect reports true. Zero is 8.
	Threshold float64
}

func (c Config) withDefaults() Config {
	if c.WindowSize == 0 {
		c.WindowSize = 1000
	}
	if c.MinStdDev == 0 {
		c.MinStdDev = 100 * time.Millisecond
	}
	if c.AcceptablePause == 0 {
		c.AcceptablePause = 500 * time.Millisecond
	}
	if c.FirstInterval == 0 {
		c.FirstInterval = time.Second
	}
	if c.Threshold == 0 {
		c.Threshold = 8
	}
	c.MinStdDev = max(c.MinStdDev, 1)
	c.AcceptablePause = max(c.AcceptablePause, 0)
	c.FirstInterval = max(c.FirstInterval, 0)
	return c
}

func (c Config) validate() error {
	if c.Model > Exponential {
		return &fieldError{"Model", c.Model, "LossAware, Normal or Exponential"}
	}
	if c.WindowSize < 1 || c.WindowSize > maxWindow {
		return &fieldError{"WindowSize", c.WindowSize, fmt.Sprintf("a number from 1 to %d", maxWindow)}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"MinStdDev", c.MinStdDev},
		{"AcceptablePause", c.AcceptablePause},
		{"FirstInterval", c.FirstInterval},
		{"MaxSilence", c.MaxSilence},
	} {
		if f.value > maxSetting {
			return &fieldError{f.name, f.value, fmt.Sprintf("at most %v", maxSetting)}
		}
	}
	if !(c.Threshold > 0) || math.IsInf(c.Threshold, 1) { // catches NaN
		return &fieldError{"Threshold", c.Threshold, "a finite number above 0"}
	}
	return nil
}

// fieldError is a field of a Config that makes no sense.
type fieldError struct {
	field string
	value any
	want  string
}

func (e *fieldError) Error() string { return "detector: " + e.In("Config") }

// In returns the text for a Config that its user knows by another name.
func (e *fieldError) In(config string) string {
	return fmt.Sprintf("%s.%s is %v; want %s", config, e.field, e.value, e.want)
}
