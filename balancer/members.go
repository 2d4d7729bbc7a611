package balancer

import (
	"cmp"
	"slices"
	"sync"
)

// members are the endpoints of one Update. Their states are not part of it.
type members struct {
	nodes   []*Node // in the order given
	ordered []*Node // tier by tier, each in the order in which a subset takes them
	tiers   []tier
	byID    map[string]*Node
}

// A tier is the members of one Endpoint.Priority.
type tier struct {
	nodes []*Node // a part of members.ordered

	once  sync.Once
	table *maglev // for Hash, made when first needed
}

// maglev returns the table over the whole tier. Unlike one over the eligible
// nodes, it stays the same when states change.
func (t *tier) maglev() *maglev {
	t.once.Do(func() { t.table = newMaglev(t.nodes) })
	return t.table
}

func (m *members) find(id string) *Node {
	if m == nil {
		return nil
	}
	return m.byID[id]
}

// arrange puts the nodes in order. Nearly always they are of one priority.
func (m *members) arrange(s *subset) {
	m.ordered = slices.Clone(m.nodes)
	byPriority := func(a, b *Node) int { return cmp.Compare(a.Priority(), b.Priority()) }
	if !slices.IsSortedFunc(m.ordered, byPriority) {
		slices.SortStableFunc(m.ordered, byPriority)
	}
	for first := 0; first < len(m.ordered); {
		end := first + 1
		for end < len(m.ordered) && byPriority(m.ordered[first], m.ordered[end]) == 0 {
			end++
		}
		m.tiers = append(m.tiers, tier{nodes: m.ordered[first:end:end]})
		first = end
	}
	if s.applies(m) {
		for i := range m.tiers {
			s.order(m.tiers[i].nodes)
		}
	}
}
