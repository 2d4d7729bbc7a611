package detector

import (
	"fmt"
	"time"
)

// A Comparison is the result of comparing the detector's view of a peer with the
// application's.
type Comparison uint8

const (
	// Agree means that both views are the same, or differ for less than Gray.After.
	Agree Comparison = iota

	// GrayFailure means that the peer shows signs of life and fails its callers.
	GrayFailure

	// FalseAlarm means that the peer is suspect and serves its users well, as when
	// pings are filtered or starved.
	FalseAlarm
)

// String returns the comparison's name in lower case.
func (c Comparison) String() string {
	switch c {
	case Agree:
		return "agree"
	case GrayFailure:
		return "gray failure"
	case FalseAlarm:
		return "false alarm"
	}
	return fmt.Sprintf("Comparison(%d)", uint8(c))
}

// Gray compares the two views of one peer: differential observability, the mark
// of gray failure (Huang and others, HotOS 2017). The zero Gray is ready for
// use. It is not for concurrent use.
type Gray struct {
	// After is how long the views must differ without a break. Zero is 10 s.
	After time.Duration

	differ Comparison // how they differ, Agree if they do not
	since  time.Time
	last   time.Time  // when Observe was called last
	result Comparison // of the last call of Observe
}

// Observe takes note of both views at now: suspected by the detector, and
// failing by the application's own measure, such as its rate of errors or its
// latency. It returns the comparison, and whether that has changed.
//
// It is to be called only where the application has a view: it uses the peer, and has
// done so since the last call of Observe. A gap of After or more is a break.
func (g *Gray) Observe(now time.Time, suspected, failing bool) (result Comparison, changed bool) {
	differ := Agree
	switch {
	case failing && !suspected:
		differ = GrayFailure
	case suspected && !failing:
		differ = FalseAlarm
	}
	after := g.After
	if after == 0 {
		after = 10 * time.Second
	}
	if differ != g.differ || now.Sub(g.last) >= after {
		g.differ, g.since = differ, now
	}
	g.last = now
	result = Agree
	if differ != Agree && now.Sub(g.since) >= after {
		result = differ
	}
	changed = result != g.result
	g.result = result
	return result, changed
}
