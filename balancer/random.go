package balancer

import "time"

// Random returns the policy that picks random nodes, with probabilities in proportion to
// their weights.
func Random() Policy { return random{} }

type random struct{}

func (random) Picker(v *View) Picker { return &randomPicker{view: v, slots: newSlots(v.nodes)} }

type randomPicker struct {
	view *View
	slots
}

func (p *randomPicker) Pick(now time.Time, in PickInfo) *Node {
	return p.view.first(now, &in, func() *Node {
		n, _ := p.draw(p.view, p.view.Rand())
		return n
	})
}
