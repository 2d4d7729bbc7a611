package balancer

import "time"

// Random returns the policy that gives every call to a random node, with a
// probability in proportion to its weight.
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
