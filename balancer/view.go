package balancer

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// A View is an immutable list of nodes among which a Policy picks: those in use of one
// priority that were in one state, Ready or Suspect, when it was made.
type View struct {
	owner  *Balancer
	tier   *tier // the nodes' tier
	state  State
	nodes  []*Node
	unit   float64 // mean weight of nodes
	picker Picker
}

// Nodes returns the nodes in the order of Update, or in the subset's order. The caller
// must not change the slice.
func (v *View) Nodes() []*Node { return v.nodes }

// Seq returns consecutive numbers, one per call, from a random first one. A change of
// the endpoints does not restart them, so that the first node is not preferred
// (grpc-java#4462, envoy#31378).
func (v *View) Seq() uint64 { return v.owner.seq.Add(1) }

// Rand returns a random number.
func (v *View) Rand() uint64 { return v.owner.random() }

// Admit reports whether n may be considered for a pick. If n is in slow start, the answer
// is random, with a probability that rises to 1. If it is false, a policy should consider
// another node.
func (v *View) Admit(now time.Time, n *Node) bool {
	return n.warming.Load() == 0 || v.admit(v.owner.nanos(now), n)
}

func (v *View) admit(t int64, n *Node) bool {
	share := n.share(t)
	return share >= 1 || fraction(v.Rand()) < share
}

// Score returns the load of n; less is better. It is the score in the package comment, in
// nanoseconds. Scores are comparable if they are of the same View and time.
func (v *View) Score(now time.Time, n *Node) float64 {
	t := v.owner.nanos(now)
	score, _ := n.score(t, v, v.owner.fleet.norm(tickOf(t)), 0)
	return score
}

// weigh is score with a handicap for a node that slow start does not admit: it gets some
// more calls in flight. So the node is picked only if the others are busy. The handicap
// is not divided by the node's share: a client with few calls in flight per node would
// never pick a node with ten times the handicap.
func (v *View) weigh(t int64, n *Node, fleet norm) (score, cost float64) {
	if n.warming.Load() != 0 && !v.admit(t, n) {
		return n.score(t, v, fleet, handicap)
	}
	return n.score(t, v, fleet, 0)
}

// usable reports whether n has the view's state or a better one, has not been tried, and is
// not full.
func (v *View) usable(n *Node, in *PickInfo) bool {
	return n != nil && n.State() <= v.state && (in.ntried == 0 || !in.Tried(n)) && !n.atLimit(v.owner.limit)
}

// maxTurns is the largest number of nodes that first tries.
const maxTurns = 16

// first returns the first node from next that is usable and admitted, or the last one
// tried.
func (v *View) first(now time.Time, in *PickInfo, next func() *Node) *Node {
	var n *Node
	for range maxTurns {
		if n = next(); v.usable(n, in) && v.Admit(now, n) {
			break
		}
	}
	return n
}

// retries is how often the policy may pick before pick searches all nodes.
const retries = 4

// pick returns a usable node, or nil if there is none. The policy picks once, unless the
// view is outdated.
func (v *View) pick(now time.Time, in *PickInfo) *Node {
	if len(v.nodes) == 0 {
		return nil
	}
	for range retries {
		if n := v.picker.Pick(now, *in); v.usable(n, in) {
			return n
		}
	}
	return v.scan(func(n *Node) bool { return v.usable(n, in) })
}

// again is pick among tried nodes, too.
func (v *View) again(now time.Time, in *PickInfo) *Node {
	if len(v.nodes) == 0 {
		return nil
	}
	untried := *in
	untried.ntried = 0
	return v.pick(now, &untried)
}

// scan returns the first node that is ok, beginning at a random one.
func (v *View) scan(ok func(*Node) bool) *Node {
	start := below(v.Rand(), len(v.nodes))
	for i := range v.nodes {
		if n := v.nodes[(start+i)%len(v.nodes)]; ok(n) {
			return n
		}
	}
	return nil
}

// below maps the high bits of a random number to 0 ≤ i < n.
func below(r uint64, n int) int {
	hi, _ := bits.Mul64(r, uint64(n))
	return int(hi)
}

// fraction maps a random number to [0, 1).
func fraction(r uint64) float64 { return float64(r>>11) / (1 << 53) }

// A snapshot is the immutable state that a pick reads.
type snapshot struct {
	generation uint64
	built      int64 // when, in nanoseconds since the first Update
	members    *members
	used       []*Node // the nodes in use, a prefix of members.ordered
	partial    bool    // whether used may be a subset
	up         int     // number of used nodes that are Ready or Suspect
	ready      View
	suspect    View
}

// newSnapshot uses the members up to the subset's limit of nodes that are up, or up to
// its reach. Suspect nodes count as up, so that short network problems do not change the
// subset. The views have the nodes of the first tier with a node that is up.
func (b *Balancer) newSnapshot(generation uint64, t int64, m *members) *snapshot {
	s := &snapshot{generation: generation, built: t, members: m, partial: b.subset.applies(m)}
	s.ready = View{owner: b, state: Ready}
	s.suspect = View{owner: b, state: Suspect}
	used, up, limit := 0, 0, b.subset.limit(m)
	reach := b.subset.reach(m, limit)
	for i := range m.tiers {
		for _, n := range m.tiers[i].nodes {
			if up == limit || used == reach {
				break
			}
			used++
			state := n.State()
			if state > Suspect {
				continue
			}
			up++
			s.add(&m.tiers[i], n, state)
		}
	}
	s.used, s.up = m.ordered[:used:used], up
	for _, v := range []*View{&s.ready, &s.suspect} {
		v.nodes = slices.Clip(v.nodes)
		if len(v.nodes) > 0 {
			v.unit = meanWeight(v.nodes)
			v.picker = b.policy.Picker(v)
		}
	}
	return s
}

// add adds a node to the view of its state, if it belongs to the views' tier. The first
// node sets that tier.
func (s *snapshot) add(tr *tier, n *Node, state State) {
	if s.ready.tier == nil {
		s.ready.tier, s.suspect.tier = tr, tr
	}
	if tr != s.ready.tier {
		return
	}
	v := &s.ready
	if state == Suspect {
		v = &s.suspect
	}
	v.nodes = append(v.nodes, n)
}

func meanWeight(nodes []*Node) float64 {
	sum := 0.0
	for _, n := range nodes {
		sum += float64(n.Weight())
	}
	return sum / float64(len(nodes))
}

// random returns the next number of Config.Seed's sequence or, without a seed, one from
// the runtime's generator, which has no contention.
func (b *Balancer) random() uint64 {
	if !b.seeded {
		return rand.Uint64()
	}
	return mix(b.rng.Add(golden))
}

// golden is 2^64 divided by the golden ratio, the step of splitmix64.
const golden = 0x9e3779b97f4a7c15

// mix is the output function of splitmix64: each input bit changes about half of the
// output bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// infinity is larger than any score.
const infinity = math.MaxFloat64
