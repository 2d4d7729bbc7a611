package breaker

import "sync/atomic"

// A window counts calls in a ring of slices. A slice is one word,
//
//	tick:24 | bad:20 | total:20
//
// so one compare-and-swap both clears an old slice and counts a call in it, and a reader
// never sees a new tick with old counts. A slice with a tick out of range does not
// count. At 2^20-1 calls a slice stops counting, which keeps its ratio of failures.
//
// Tick n is the n-th slice since the epoch began. Ticks wrap at 2^24: a slice that is
// not written for exactly that long would count again.
type window struct {
	slots [slices]atomic.Uint64
}

const (
	slices = 10

	countBits = 20
	countMask = 1<<countBits - 1
	tickShift = 2 * countBits
	tickMask  = 1<<(64-tickShift) - 1

	good = 1
	bad  = 1<<countBits | 1

	// halfFull are the bits that are set in a slice with a count of 2^19 or more. A
	// slice below that has room for all concurrent additions without a comparison.
	halfFull = 1<<(countBits-1) | 1<<(2*countBits-1)

	// lateTicks is how far a slice's tick may be ahead of the writer's. One further
	// ahead is an old tick from before the wrap.
	lateTicks = 1 << 12
)

// add counts one call, good or bad, at tick. It does not count a call whose slice has
// been reused for a later tick.
func (w *window) add(tick, call uint64) {
	slot := &w.slots[tick%slices]
	for {
		old := slot.Load()
		// The usual case needs no compare-and-swap: if the slice is reused
		// meanwhile, the call counts in the new one.
		if old>>tickShift == tick&tickMask && old&halfFull == 0 {
			slot.Add(call)
			return
		}
		next := old + call
		if ahead := (old>>tickShift - tick) & tickMask; ahead != 0 {
			if ahead < lateTicks {
				return
			}
			next = tick<<tickShift | call
		} else if old&countMask == countMask || old>>countBits&countMask == countMask {
			return
		}
		if slot.CompareAndSwap(old, next) {
			return
		}
	}
}

// counts are sums over a window.
type counts struct {
	total, bad int
	recentGood int // in the current and the previous slice
}

// sum adds up the slices that are in the window at tick.
func (w *window) sum(tick uint64) (c counts) {
	for i := range w.slots {
		v := w.slots[i].Load()
		age := (tick - v>>tickShift) & tickMask
		if age >= slices {
			continue
		}
		total, bad := int(v&countMask), int(v>>countBits&countMask)
		c.total += total
		c.bad += bad
		if age < 2 {
			c.recentGood += total - bad
		}
	}
	return c
}
