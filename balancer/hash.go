package balancer

import (
	"math"
	"time"
)

// Hash returns the policy that sends calls with the same PickInfo.Key to the
// same node, in every process that lists the same endpoints in whatever order.
//
// A change of state moves the keys of that node only. A change of the list
// moves, beside those of the endpoint that comes or goes, a few that need not
// move, as Maglev does: in all 1.02/N of the keys of 10 endpoints, 1.24/N of 50,
// 2.4/N of 200, 10/N of 10,000. Crossing 1,000 or 16,000 endpoints moves nearly
// all.
//
// Keys are spread by weight: a node has at least 15/16 of its part, but for two slots
// of the table, and at most one slot more than its part. The table has 65,537 slots or
// more, and every node one at least, however small its weight is beside the others'.
//
// A node that is not eligible, that the call has tried, that is in slow start,
// or that is full hands the key on to a place that depends on the key, so its
// keys spread over all others instead of toppling one neighbor after another
// (envoy#12529). Full is 1.25 times the node's fair part of the calls in
// flight (Mirrokni et al., "Consistent hashing with bounded loads"), and at
// least 4, so that light traffic stays where it is.
func Hash() Policy { return hash{} }

type hash struct{}

const (
	loadFactor = 1.25
	loadFloor  = 4
	// rehashes is how many places of the table a pick looks at.
	rehashes = 16
)

// needsTotal makes the balancer count all calls in flight.
func (hash) needsTotal() {}

// wholeFleet keeps the balancer from using a subset, in which two clients would
// disagree about a key.
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
		spare = slow // of a fleet that is new as a whole
	}
	if spare == nil {
		spare = p.highest(h, &in)
	}
	return spare
}

func (p *hashPicker) full(n *Node) bool {
	inflight := n.inflight.Load()
	if inflight < loadFloor || !p.view.owner.total {
		return false
	}
	part := float64(n.weight.Load()) / (p.view.unit * float64(len(p.view.nodes)))
	all := float64(p.view.owner.fleet.total.Load() + 1)
	return float64(inflight+1) > math.Ceil(loadFactor*all*part)
}

// highest returns the usable node that ranks highest for the key (rendezvous
// hashing). It is for a table that is nearly all ineligible.
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
