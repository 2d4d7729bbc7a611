package detector

import (
	"fmt"
	"time"
)

// A Fault is a reason to blame ourselves, and no peer, for a silence.
type Fault uint8

const (
	// NoFault means that nothing speaks against us.
	NoFault Fault = iota

	// Paused means that this process did not run when it meant to. It was
	// stopped, frozen, throttled or collecting garbage, and has yet to read the
	// answers that wait for it. CLOCK_MONOTONIC runs on through all of these.
	Paused

	// Slept means that the wall clock ran ahead of the monotonic one, which
	// stands still while the machine is suspended. Peers may have closed our
	// connections. A wall clock set forward looks the same.
	Slept

	// SetBack means that the wall clock was set back. Silences are measured by the
	// monotonic clock and are not affected.
	SetBack

	// Isolated means that most peers fell silent together, which they do when our
	// network fails and hardly ever by themselves.
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

// Excuses reports whether silences up to now are to be excused, with
// Detector.Excuse, on account of the fault.
func (f Fault) Excuses() bool { return f == Paused || f == Slept || f == Isolated }

// A Guard finds the faults that are ours, as Lifeguard (Dadgar, Phillips and
// Currey, 2017) advises. It is given each wake-up of the loop that judges
// the peers, before any peer is judged. The zero Guard is ready for use. It is
// not for concurrent use: it belongs to that loop.
type Guard struct {
	// Tolerance is how late a wake-up, and how far apart the clocks, may be
	// without meaning. Zero is 250 ms, a quarter of the default slot. It
	// should be below Config.AcceptablePause, for a pause that is not noticed
	// counts against the peers.
	Tolerance time.Duration

	last time.Time
}

// Wake reports a wake-up at now that was meant for due, and returns the fault
// that it shows. A zero due is a wake-up that was not planned, which is never
// late. Both times must come from time.Now or be derived from its results, or
// else have no monotonic reading, and then Slept and SetBack are not found.
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

// Crowd returns Isolated if at least half of peers, and no fewer than three, are
// at level phi or above at now, and otherwise NoFault. Peers of which nothing is
// owed are no witnesses and do not count.
func Crowd(now time.Time, phi float64, peers ...*Detector) Fault {
	asked, silent := 0, 0
	for _, d := range peers {
		if d.start() == never {
			continue
		}
		asked++
		if d.Phi(now) >= phi {
			silent++
		}
	}
	if silent >= 3 && 2*silent >= asked {
		return Isolated
	}
	return NoFault
}
