package detector

import (
	"fmt"
	"math"
	"time"
)

// With these bounds n·Σx² fits into 128 bits, and every sum of times into 64.
const (
	maxWindow   = 10_000
	maxInterval = 1 << 50 // ns, 13 days; a longer interval counts as this one
	maxSetting  = 24 * time.Hour
)

// Config describes a Detector. The zero Config suits a peer that is pinged once a
// second. Durations above 24 h are errors, except for MaxInterval.
type Config struct {
	// Model is the distribution of a live peer's silences. 0 means LossAware.
	Model Model

	// WindowSize is the number of intervals remembered. Normal and Exponential keep
	// them in a window, with 8 bytes each; LossAware weights them by age. 0 means
	// 1000, as in the paper; at most 10,000.
	WindowSize int

	// MinStdDev is the lower bound of the standard deviation. Without it, a very
	// regular peer would be suspected after a microsecond's delay. 0 means 100 ms, as
	// in Akka; negative means 1 ns.
	MinStdDev time.Duration

	// AcceptablePause is a delay that raises no suspicion, such as a garbage
	// collection or a retransmission. 0 means 500 ms; negative means none.
	AcceptablePause time.Duration

	// FirstInterval is the expected time between heartbeats, and the length of a probe
	// slot. The detector begins with two intervals, a quarter shorter and a quarter
	// longer, as in Akka, so that it also detects a peer that dies before its first
	// heartbeat. 0 means 1 s. Negative means none: phi is 0 until the first interval
	// has ended, and every proof of life ends an interval.
	FirstInterval time.Duration

	// MaxInterval is the longest interval that is learned, as in Cassandra. 0 means no
	// limit; negative means that every interval is learned, as in the paper.
	//
	// Unless it is negative, outages are not learned: intervals during which phi
	// reached Threshold, as in Akka. Otherwise one of 300 s would disable detection for
	// the next WindowSize intervals. LossAware does learn an outage if there was another
	// one within the last WindowSize intervals, but with the length at which phi reached
	// Threshold.
	MaxInterval time.Duration

	// MaxSilence bounds the detection time of LossAware: after a silence of this
	// length, phi is Threshold or more, even if the peer often pauses for longer. 0
	// means 2·FirstInterval + AcceptablePause if Expect is used, and else no bound;
	// negative means no bound.
	MaxSilence time.Duration

	// Threshold is the phi at which Suspect reports true. 0 means 8.
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

// A fieldError reports an invalid field of a Config.
type fieldError struct {
	field string
	value any
	want  string
}

func (e *fieldError) Error() string { return "detector: " + e.In("Config") }

// In returns the error's text with another name for the Config.
func (e *fieldError) In(config string) string {
	return fmt.Sprintf("%s.%s is %v; want %s", config, e.field, e.value, e.want)
}
