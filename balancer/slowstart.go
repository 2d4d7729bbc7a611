package balancer

import "time"

const (
	defaultSlowStart = 10 * time.Second
	// minAdmit is the share of picks that consider a node when its slow start begins.
	minAdmit = 0.1
	// handicap is the number of calls in flight that P2C adds to a node that slow start
	// does not admit.
	handicap = 2
)

// In slow start a share rises from minAdmit to 1 over Config.SlowStart. It is the
// probability with which a node is considered, and a factor of its weight in the score.
// Without the first, an idle node would win every comparison. Without the second, it
// would win each one in which it is considered. The usual way, a factor of the whole
// score, starves the node under light traffic, because idle nodes always win.

// startSlow begins slow start, unless Config disables it.
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
