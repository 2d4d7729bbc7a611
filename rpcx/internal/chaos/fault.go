package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Fault is one thing that is wrong with a replica for a while.
type Fault uint8

const (
	// Healthy is none.
	Healthy Fault = iota
	// Kill is SIGKILL: connections break, new ones are refused, and at the end
	// a new process listens at the same address.
	Kill
	// Freeze is SIGSTOP, and SIGCONT at the end.
	Freeze
	// Stall stops the bytes in both directions; at the end they arrive.
	Stall
	// Mute lets requests through and holds replies back until the end.
	Mute
	// Drip lets a byte a millisecond through.
	Drip
	// Delay holds up every piece of the streams for a tenth of a second.
	Delay
	// Reset ends connections with RST, new ones after a few bytes.
	Reset
	// HalfOpen loses all bytes of its connections, for ever and without a sign.
	HalfOpen
	// Backlog breaks the connections and has the listener's queue full, so that
	// nobody answers a new one (where the system cannot: nobody accepts it).
	Backlog
	// Oversize begins each connection's replies with a frame of two gigabytes.
	Oversize
	// Partition has the kernel drop the packets. It takes a network of its own:
	// Config.Cut.
	Partition
	// Corrupt flips bits in both directions.
	Corrupt
	faults
)

var faultNames = [...]string{
	"healthy", "kill", "freeze", "stall", "mute", "drip", "delay", "reset", "half-open", "backlog", "oversize", "partition", "corrupt",
}

// String returns the fault's name in lower case.
func (f Fault) String() string {
	if f < faults {
		return faultNames[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// Honest returns the faults under which every answer that comes is right, which
// are all that this system and a proxy have but Corrupt.
func Honest() []Fault {
	var out []Fault
	for f := Healthy + 1; f < Partition; f++ {
		if f != Freeze || canFreeze {
			out = append(out, f)
		}
	}
	return out
}

// A Step is one fault of a schedule.
type Step struct {
	At     time.Duration // since the load began
	Hold   time.Duration // how long it lasts
	Victim int           // the replica, from 0
	Fault  Fault
}

// String tells the step as a report does.
func (s Step) String() string {
	return fmt.Sprintf("%v at %v of replica %d for %v", s.Fault, s.At.Round(time.Millisecond), s.Victim, s.Hold.Round(time.Millisecond))
}

// end is when the replica is healthy again.
func (s Step) end() time.Duration { return s.At + s.Hold }

// weather says what was wrong at a time, or is not long over.
func weather(steps []Step, at time.Duration) string {
	const recently = 3 * time.Second
	var out []string
	for _, s := range steps {
		switch {
		case s.At <= at && at < s.end():
			out = append(out, s.Fault.String())
		case s.end() <= at && at < s.end()+recently:
			out = append(out, "after "+s.Fault.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
