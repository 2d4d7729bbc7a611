package balancer

import "math"

const (
	// alike is the factor within which two latencies count as equal. Otherwise most
	// calls of an idle fleet would go to the node with the lowest few samples.
	alike = 1.75
	// grain is the difference, in nanoseconds, within which two latencies count as equal,
	// too: a millisecond. Scheduling and the network make such differences between
	// two calls to one node.
	grain = 1 << tickShift
)

// alike reports whether a latency counts as equal to the fleet's.
func (f norm) alike(v float64) bool {
	return v < f.latency*alike && v*alike > f.latency || math.Abs(v-f.latency) < grain
}

// level returns the latency of n, or the fleet's if the two are alike. It compares them
// before the drift, too: a latency that is alike before the drift is alike after it, so
// in a healthy fleet the drift need not be computed.
func (n *Node) level(tick uint32, fleet norm) float64 {
	v, _ := unpack(n.latency.word.Load())
	if v == 0 || fleet.alike(v) {
		return max(fleet.latency, 1)
	}
	v = n.latency.at(tick, latencyRate, fleet.latency)
	if fleet.alike(v) {
		return fleet.latency
	}
	return v
}

// answered adds the latency of a successful call, in nanoseconds.
func (n *Node) answered(start int64, took float64, tick uint32) {
	fleet := &n.owner.fleet
	rest, _ := unpack(fleet.latency.word.Load())
	known, _ := unpack(n.latency.word.Load())
	if known == 0 {
		known = rest
	}
	if known == 0 || took > known {
		if took = n.confirm(start, took, tick); took <= known {
			return
		}
	} else {
		n.dispel(start)
	}
	n.latency.peak(took, rest, tick)
	latency, _ := unpack(n.latency.word.Load())
	fleet.latency.follow(latency, tick)
}

// raise adds a lower bound of a latency, which may only raise the average. It does
// nothing if neither the node's nor the fleet's latency is known.
func (n *Node) raise(start int64, took float64, tick uint32) {
	rest, _ := unpack(n.owner.fleet.latency.word.Load())
	if known := n.latency.at(tick, latencyRate, rest); known > 0 && took > known {
		n.latency.raise(n.confirm(start, took, tick), rest, tick)
	}
}

// One slow call may be chance: a lost packet, or a pause for the garbage collection. If it
// raised the node's latency, an idle fleet would not call the node again for half a minute.
// So a call counts as slow only as far as a call after it is slow, too. While the slow call
// is in flight, its age has been in the score.

// confirm returns the latency that two slow calls in a row have in common: one that took
// longer than the node's latency, and one before it. It returns 0 if none was before it, or
// if the two overlapped: one pause makes all calls in flight slow.
func (n *Node) confirm(start int64, took float64, tick uint32) float64 {
	for {
		w := n.doubt.word.Load()
		before, since := unpack(w)
		next, common := pack(took, tick), min(before, took)
		if w != 0 && ticks(since, tickOf(start)) == 0 {
			next, common = pack(max(before, took), since), 0
		}
		if n.doubt.word.CompareAndSwap(w, next) {
			return common
		}
	}
}

// dispel forgets a slow call before a call that began at start and was not slow.
func (n *Node) dispel(start int64) {
	w := n.doubt.word.Load()
	if _, since := unpack(w); w != 0 && ticks(since, tickOf(start)) > 0 {
		n.doubt.word.CompareAndSwap(w, 0)
	}
}
