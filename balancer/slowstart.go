package balancer

import "time"

const (
	defaultSlowStart = 10 * time.Second
	// minAdmit is the share of draws that a node gets at the very start.
	minAdmit = 0.1
	// handicap is as how many calls in flight it counts that P2C does not admit
	// a node in slow start.
	handicap = 2
)

// Slow start is a probability of being considered, which rises from minAdmit
// to 1 over Config.SlowStart, and the same share of the weight by which Score
// judges calls in flight. Without the first, the node would win each comparison
// for being idle; without the second, each in which it is considered. As a
// divisor of the whole score, the usual way, it starves the node while traffic
// is light, because the others are idle and always win.

// startSlow begins slow start, unless it is switched off.
func (n *Node) startSlow(t int64) {
	if n.owner.slowStart > 0 {
		n.warming.Store(max(tickOf(t), 1))
	}
}

func (n *Node) warm(t int64) bool {
	since := n.warming.Load()
	return since == 0 || ticks(since, tickOf(t)) >= n.owner.slowStart
}

// share returns the probability with which n may be considered at time t.
func (n *Node) share(t int64) float64 {
	since := n.warming.Load()
	if since == 0 {
		return 1
	}
	elapsed := ticks(since, tickOf(t))
	if elapsed >= n.owner.slowStart {
		n.warming.CompareAndSwap(since, 0)
		return 1
	}
	return max(elapsed/n.owner.slowStart, minAdmit)
}
