package balancer

import "time"

// RoundRobin returns the policy that gives every node the same number of calls,
// in turn. The turn goes on through updates.
func RoundRobin() Policy { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) Picker(v *View) Picker { return turnPicker{v} }

type turnPicker struct{ view *View }

// Pick takes turns from the shared counter until one fits. Because skipped
// turns are used up, the calls of a node that is left out go to all others
// rather than to its neighbor (caddy#880).
func (p turnPicker) Pick(now time.Time, in PickInfo) *Node {
	v := p.view
	return v.first(now, &in, func() *Node { return v.nodes[v.Seq()%uint64(len(v.nodes))] })
}
