package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// replicas is how many servers there are.
const replicas = 3

// A Plan is what a schedule is made from.
type Plan struct {
	Seed   uint64
	Length time.Duration // of the whole
	Faults []Fault       // dealt like cards: each once before any comes again
	Hold   time.Duration // the longest that a fault lasts; the shortest is a quarter
	Gap    time.Duration // the longest from one fault's beginning to the next's
	// Down is how many replicas may be out of order at a time; 0 means all but
	// one.
	Down int
	// Settle is how long a replica must have been healthy to be in
	// order again.
	Settle time.Duration
}

// warmUp is the load's time without faults.
const warmUp = 500 * time.Millisecond

// Steps returns the schedule in order of time. At its end all replicas are in
// order.
func (p Plan) Steps() []Step {
	rng := rand.New(rand.NewPCG(p.Seed, p.Seed))
	var (
		steps []Step
		deck  []Fault
		free  [replicas]time.Duration // when each is in order again
	)
	for now := warmUp; ; now += time.Duration(rng.Int64N(int64(p.Gap) + 1)) {
		now = max(now, p.roomAt(free))
		hold := p.Hold/4 + time.Duration(rng.Int64N(int64(p.Hold)*3/4+1))
		if now+hold+p.Settle > p.Length {
			return steps
		}
		if len(deck) == 0 {
			deck = slices.Clone(p.Faults)
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		victim := rng.IntN(replicas)
		for free[victim] > now {
			victim = (victim + 1) % replicas
		}
		steps = append(steps, Step{At: now, Hold: hold, Victim: victim, Fault: deck[0]})
		deck = deck[1:]
		free[victim] = now + hold + p.Settle
	}
}

// roomAt is from when on so few replicas are out of order that another may go.
func (p Plan) roomAt(free [replicas]time.Duration) time.Duration {
	slices.Sort(free[:])
	down := p.Down
	if down == 0 {
		down = replicas - 1
	}
	return free[replicas-down]
}
