package detector

import (
	"fmt"
	"time"
)

// A Fault is a fault of the local side that may explain a silence.
type Fault uint8

const (
	// NoFault: no local fault was found.
	NoFault Fault = iota

	// Paused: this process did not run on time. It was stopped, frozen, throttled or
	// collecting garbage, and may not have read answers that have arrived. The
	// monotonic clock continues meanwhile.
	Paused

	// Slept: the wall clock advanced more than the monotonic clock, which stops while
	// the machine is suspended. Peers may have closed their connections to us. If the
	// wall clock is set forward, the result is the same.
	Slept

	// SetBack: the wall clock was set back. Silences are not affected, since they are
	// measured by the monotonic clock.
	SetBack

	// Isolated: most peers became silent at the same time. The usual reason is the
	// local network.
	Isolated
)

// String returns the name of the fault.
func (f Fault) String() string {
	switch f {
	case NoFault:
		return "none"
	case Paused:
		return "paused"
	case Slept:
		return "slept"
	case SetBack:
		return "clock set back"
	case Isolated:
		return "isolated"
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// Excuses reports whether the fault may explain silences. If so, call Detector.Excuse
// for all peers.
func (f Fault) Excuses() bool { return f == Paused || f == Slept || f == Isolated }

// A Guard finds local faults, as Lifeguard (Dadgar, Phillips and Currey, 2017) advises.
// The loop that checks the peers calls Wake each time that it wakes, before it checks
// any. The zero Guard is ready for use. It is not safe for concurrent use.
type Guard struct {
	// Tolerance is the largest delay of a wake-up, and the largest difference of the
	// clocks, that is no fault. 0 means 250 ms, a quarter of the default probe slot. It
	// should be less than Config.AcceptablePause: a shorter pause of this process looks
	// like a silence of the peers.
	Tolerance time.Duration

	last time.Time
}

// Wake reports that the loop woke at now, which was planned for due, and returns the
// fault found. A zero due means that the wake-up was not planned, and so is never late.
// Slept and SetBack are found only if now has a monotonic reading, in this call and in the
// one before.
func (g *Guard) Wake(now, due time.Time) Fault {
	tolerance := g.Tolerance
	if tolerance == 0 {
		tolerance = 250 * time.Millisecond
	}
	last := g.last
	g.last = now
	if !due.IsZero() && now.Sub(due) > tolerance {
		return Paused
	}
	if last.IsZero() {
		return NoFault
	}
	// Round(0) strips the monotonic reading.
	ahead := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
	switch {
	case ahead > tolerance:
		return Slept
	case ahead < -tolerance:
		return SetBack
	}
	return NoFault
}

// CheckIsolation returns Isolated if at least three peers have a phi of the given value
// or more at now, and they are at least half of the peers that owe an answer. Otherwise
// it returns NoFault.
func CheckIsolation(now time.Time, phi float64, peers ...*Detector) Fault {
	owing, silent := 0, 0
	for _, d := range peers {
		if d.start() == never {
			continue
		}
		owing++
		if d.Phi(now) >= phi {
			silent++
		}
	}
	if silent >= 3 && 2*silent >= owing {
		return Isolated
	}
	return NoFault
}
