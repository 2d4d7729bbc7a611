package balancer

import "sync/atomic"

// A tally is the number of picks of a node and of its calls in flight. Both are in one word,
// because each pick changes both: the high 40 bits count picks, and the low 24 bits calls.
type tally struct{ word atomic.Uint64 }

const (
	inflightBits = 24
	onePick      = 1 << inflightBits
)

func (c *tally) inflight() int64 { return int64(c.word.Load() % onePick) }

func (c *tally) picks() uint64 { return c.word.Load() >> inflightBits }

// begin adds a pick and a call in flight, and returns the number of other calls in flight. It
// does neither, and returns false, if that number is limit or more. A limit of 0 is no limit.
// It uses compare-and-swap: an addition that is undone if it exceeds the limit could reject a
// concurrent call.
func (c *tally) begin(limit int64) (others int64, ok bool) {
	if limit == 0 {
		return int64((c.word.Add(onePick+1) - 1) % onePick), true
	}
	for {
		w := c.word.Load()
		others = int64(w % onePick)
		if others >= limit {
			return others, false
		}
		if c.word.CompareAndSwap(w, w+onePick+1) {
			return others, true
		}
	}
}

// end removes a call in flight.
func (c *tally) end() { c.word.Add(^uint64(0)) }
