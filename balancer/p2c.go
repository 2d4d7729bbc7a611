package balancer

import "time"

// P2C returns the default policy, "power of two choices": it picks the node with the
// lower Score of two random ones. Nodes are drawn by weight.
//
// Of up to eight nodes it compares all: with two bad ones of four, two random ones would
// both be bad in one of six picks (brpc#3340). Of more it compares two, or up to four if
// the cost of the best is more than twice the fleet's latency, or 16 if servers report
// their load (Node.Report). Of equal scores it picks the longest idle if it has compared all
// nodes and they have one weight, and else a random one. So the order of the list has no
// effect (envoy#31507), and the nodes of a small idle fleet take turns.
func P2C() Policy { return p2c{} }

type p2c struct{}

func (p2c) Picker(v *View) Picker {
	if len(v.nodes) <= scanSize {
		return &scanPicker{v, newSlots(v.nodes).even}
	}
	return &samplePicker{view: v, slots: newSlots(v.nodes)}
}

const (
	scanSize = 8
	// far is the cost, as a multiple of the fleet's latency, above which a pick
	// compares further nodes.
	far = 2
	// samples is the largest number of nodes that a pick of a large fleet compares,
	// without reports.
	samples = 4
	// lcg is the multiplier of Knuth's MMIX generator, for the further random numbers
	// of one pick. Only their high bits are used. It is faster than View.Rand.
	lcg = 6364136223846793005
)

type scanPicker struct {
	view *View
	even bool // whether all weights are equal
}

func (p *scanPicker) Pick(now time.Time, in PickInfo) *Node {
	if len(p.view.nodes) == 1 {
		return p.view.nodes[0]
	}
	return p.best(in.nanos(p.view.owner, now), &in)
}

// best returns the usable node with the lowest score. Among equal scores it prefers the
// longest idle, so that the nodes of an idle fleet take turns. Among those it picks by
// weight, with a reservoir of one node.
func (p *scanPicker) best(t int64, in *PickInfo) *Node {
	v, fleet := p.view, p.view.owner.fleet.norm(tickOf(t))
	var best *Node
	lowest, longest, tied, r := infinity, int64(0), 0.0, uint64(0)
	for _, n := range v.nodes {
		if !v.usable(n, in) {
			continue
		}
		score, _ := v.weigh(t, n, fleet)
		if best != nil && score > lowest {
			continue
		}
		idle := p.idle(t, n)
		if best != nil && score == lowest && idle < longest {
			continue
		}
		weight := float64(n.weight.Load())
		if best == nil || score < lowest || idle > longest {
			lowest, longest, tied = score, idle, 0
		}
		tied += weight
		if tied == weight {
			best = n
			continue
		}
		if r == 0 {
			r = v.Rand()
		}
		if r = r*lcg + 1; fraction(r)*tied < weight {
			best = n
		}
	}
	return best
}

// idle returns the time since the last call to n, if that decides among equal scores: not
// if the nodes differ in weight, and seldom in slow start. A node in slow start has been
// idle for long, and would get the next pick that admits it.
func (p *scanPicker) idle(t int64, n *Node) int64 {
	v := p.view
	if !p.even || n.calls.inflight() > 0 || n.warming.Load() != 0 && below(v.Rand(), len(v.nodes)) > 0 {
		return 0
	}
	return max(t-n.progress.Load(), 0)
}

type samplePicker struct {
	view *View
	slots
}

func (p *samplePicker) Pick(now time.Time, in PickInfo) *Node {
	v := p.view
	t := in.nanos(v.owner, now)
	fleet := v.owner.fleet.norm(tickOf(t))
	var best, n *Node
	bestScore, bestCost := infinity, infinity
	r := v.Rand()
	for looked := range fleet.maxSamples(len(v.nodes)) {
		if looked >= 2 && fleet.reports() == 0 && (fleet.latency == 0 || bestCost <= far*fleet.latency) {
			break
		}
		if n, r = p.another(&in, best, r); n == nil {
			continue
		}
		// The nodes are in random order, so the first of equal ones is a random one.
		if score, cost := v.weigh(t, n, fleet); score < bestScore {
			best, bestScore, bestCost = n, score, cost
		}
	}
	return best
}

// another returns a random usable node that is not other, or nil if a few draws find
// none, and the rest of the random number. If one node were drawn twice, it would be
// picked without a comparison (grpc-java#12237).
func (p *samplePicker) another(in *PickInfo, other *Node, r uint64) (*Node, uint64) {
	v := p.view
	for range retries {
		n, rest := p.draw(v, r)
		if n != other && v.usable(n, in) {
			return n, rest
		}
		r = v.Rand()
	}
	return nil, r
}
