package balancer

import (
	"math"
	"time"
)

// Hash returns a policy of consistent hashing: calls with the same PickInfo.Key go to
// the same node, in every process with the same set of endpoints. Calls without a key go
// to random nodes.
//
// Keys are distributed by weight with a table of 65,537 slots or more (Google's Maglev).
// A node has at least one slot, at least 15/16 of its share less two slots, and at most
// one slot more than its share.
//
// A change of a node's state moves the keys of that node only. If one of N endpoints is
// added or removed, some other keys move, too: in all, the share 1.02/N of the keys with 10
// endpoints, 1.24/N with 50, 2.4/N with 200, and 10/N with 10,000. Nearly all keys move if
// the number of endpoints crosses 1,000 or 16,000.
//
// If the node of a key cannot be picked, was tried, is in slow start, or is overloaded,
// another slot is used, which depends on the key. So the keys of one node are distributed
// over all others and do not overload a single neighbor (envoy#12529). A node is
// overloaded at 1.25 times its share of the calls in flight, and never with fewer than 4
// (Mirrokni et al., "Consistent hashing with bounded loads").
func Hash() Policy { return hash{} }

type hash struct{}

const (
	loadFactor = 1.25
	loadFloor  = 4
	// rehashes is the number of slots that a pick tries.
	rehashes = 16
)

// needsTotal makes the balancer count all calls in flight.
func (hash) needsTotal() {}

// wholeFleet disables subsets: clients with different subsets would send a key to
// different nodes.
func (hash) wholeFleet() {}

func (hash) Picker(v *View) Picker {
	return &hashPicker{view: v, table: v.tier.maglev()}
}

type hashPicker struct {
	view  *View
	table *maglev
}

func (p *hashPicker) Pick(now time.Time, in PickInfo) *Node {
	key := in.Key
	if !in.HasKey {
		key = p.view.Rand()
	}
	t := p.view.owner.nanos(now)
	h := mix(key ^ keySeed)
	var spare, slow *Node
	for range rehashes {
		n := p.table.slots[below(h, len(p.table.slots))]
		h = mix(h + golden)
		switch {
		case !p.view.usable(n, &in):
		case fraction(h) >= n.share(t):
			if slow == nil {
				slow = n
			}
		case !p.full(n):
			return n
		case spare == nil || n.InFlight() < spare.InFlight():
			spare = n
		}
	}
	if spare == nil {
		spare = slow // all nodes are in slow start
	}
	if spare == nil {
		spare = p.highest(h, &in)
	}
	return spare
}

func (p *hashPicker) full(n *Node) bool {
	inflight := n.calls.inflight()
	if inflight < loadFloor || !p.view.owner.total {
		return false
	}
	part := float64(n.weight.Load()) / (p.view.unit * float64(len(p.view.nodes)))
	all := float64(p.view.owner.fleet.total.Load() + 1)
	return float64(inflight+1) > math.Ceil(loadFactor*all*part)
}

// highest returns the usable node with the highest rank for the key (rendezvous
// hashing). It is for a table with very few usable nodes.
func (p *hashPicker) highest(h uint64, in *PickInfo) *Node {
	var best *Node
	var rank uint64
	for _, n := range p.view.nodes {
		if r := mix(h ^ KeyOf(n.id)); p.view.usable(n, in) && (best == nil || r > rank) {
			best, rank = n, r
		}
	}
	return best
}
