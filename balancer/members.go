package balancer

import (
	"cmp"
	"slices"
	"sync"
)

// members are the endpoints of one Update, without their states.
type members struct {
	nodes   []*Node // in the order of Update
	ordered []*Node // by tier, each in the order of the subset
	tiers   []tier
	byID    map[string]*Node
}

// A tier is the members of one Endpoint.Priority.
type tier struct {
	nodes []*Node // a part of members.ordered

	once  sync.Once
	table *maglev // for Hash
}

// maglev returns the table of all nodes of the tier, whatever their states, so that it
// does not change with them.
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

// arrange sets ordered and tiers. Mostly there is one tier only.
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
