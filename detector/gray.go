package detector

import (
	"fmt"
	"time"
)

// A Comparison is the result of comparing the detector's view of a peer with the
// application's.
type Comparison uint8

const (
	// Agree: both views are the same, or have differed for less than Gray.After.
	Agree Comparison = iota

	// GrayFailure: the detector does not suspect the peer, but the application's calls
	// fail.
	GrayFailure

	// FalseAlarm: the detector suspects the peer, but the application's calls succeed.
	// For example, pings are filtered or delayed.
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

// A Gray compares the detector's view of a peer with the application's. If they differ,
// the failure is gray: "differential observability" (Huang and others, HotOS 2017). The
// zero Gray is ready for use. It is not safe for concurrent use.
type Gray struct {
	// After is how long the views must differ without interruption. 0 means 10 s.
	After time.Duration

	differ Comparison // how the views differ now, or Agree
	since  time.Time  // since when
	last   time.Time  // the last call of Observe
	result Comparison // of the last call of Observe
}

// Observe records both views at now: whether the detector suspects the peer, and
// whether the peer fails by the application's own measure, such as an error rate or a
// latency. It returns the comparison, and whether the comparison has changed.
//
// Call Observe only if the application has used the peer since the last call. If there
// is no call for After or longer, the comparison starts anew.
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
