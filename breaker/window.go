package breaker

import "sync/atomic"

// A window counts calls in a ring of slices. A slice is one word,
//
//	tick:24 | bad:20 | total:20
//
// so that it is recycled and counted in by one compare-and-swap, with no
// moment at which a reader sees a new tick with old counts. Idle time needs
// no sweep: a slice whose tick is out of range does not count. A slice stops
// counting at 2^20-1 calls and so keeps its ratio.
//
// Ticks count slices since the epoch began. They wrap after 2^24, which an
// old slice would have to sit out untouched, to the tick, to count again.
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

	// halfFull is set in a slice with a count of 2^19 or more. Below, there is
	// room for all that may add at the same moment without comparing.
	halfFull = 1<<(countBits-1) | 1<<(2*countBits-1)

	// lateTicks is how far ahead of a writer a slice may be and still be seen
	// as newer, rather than as older by a wrap of the tick.
	lateTicks = 1 << 12
)

// add counts one call, good or bad, at tick. A call that is late by more than
// the whole window is outside it and is not counted.
func (w *window) add(tick, call uint64) {
	slot := &w.slots[tick%slices]
	for {
		old := slot.Load()
		// The usual case needs no comparison: should the slice be recycled
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
