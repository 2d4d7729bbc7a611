package balancer

import "time"

// RoundRobin returns the policy that picks the nodes in turn, whatever their weights. An
// Update does not restart the sequence.
func RoundRobin() Policy { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) Picker(v *View) Picker { return turnPicker{v} }

type turnPicker struct{ view *View }

// Pick takes numbers from the shared counter until the node can be picked. Since the
// numbers of skipped nodes are used up, their calls go to all other nodes, not only to
// the next one (caddy#880).
func (p turnPicker) Pick(now time.Time, in PickInfo) *Node {
	v := p.view
	return v.first(now, &in, func() *Node { return v.nodes[v.Seq()%uint64(len(v.nodes))] })
}
