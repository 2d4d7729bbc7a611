package balancer

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// A View is an immutable list of the nodes that were in one state (Ready or
// Suspect) when it was made, or of this client's subset of them. A Policy is
// shown one View per state, so it need not know about states.
type View struct {
	owner  *Balancer
	tier   *tier // nodes are some or all of it
	state  State
	nodes  []*Node
	unit   float64 // mean weight of nodes
	picker Picker
}

// Nodes returns the nodes in the order given to Update, and those of a subset in
// an order that differs from client to client. The caller must not change the
// slice.
func (v *View) Nodes() []*Node { return v.nodes }

// Seq returns the numbers from a random start on, one by one. They go on
// through changes of the endpoints, so that no caller starts over at the first
// node (grpc-java#4462, envoy#31378).
func (v *View) Seq() uint64 { return v.owner.seq.Add(1) }

// Rand returns a random number.
func (v *View) Rand() uint64 { return v.owner.random() }

// Admit reports whether n may be considered for a pick. It is false at random
// for a node in slow start, and the more seldom the longer that has lasted;
// a policy then draws another node.
func (v *View) Admit(now time.Time, n *Node) bool {
	return n.warming.Load() == 0 || v.admit(v.owner.nanos(now), n)
}

func (v *View) admit(t int64, n *Node) bool {
	share := n.share(t)
	return share >= 1 || fraction(v.Rand()) < share
}

// Score returns the load of n: its latency in nanoseconds, raised for recent
// failures, times one more than its calls in flight for each mean weight that
// it has, those of other clients among them if servers report their load. Less is
// better; scores of one View at one time can be compared.
func (v *View) Score(now time.Time, n *Node) float64 {
	score, _ := n.score(v.owner.nanos(now), v.owner.fleet.norm(), v.unit, 0)
	return score
}

// weigh is score with the handicap of slow start: a node that is not admitted is
// judged as if it had some calls more in flight. So it is passed over while the
// others have room, and relieves them when they have not. Its share of the weight
// does not count for these: a client of many that calls many servers has hardly a
// call in flight with each, and sees no load that would be ten times as much.
func (v *View) weigh(t int64, n *Node, fleet norm) (score, cost float64) {
	if n.warming.Load() != 0 && !v.admit(t, n) {
		return n.score(t, fleet, v.unit, handicap)
	}
	return n.score(t, fleet, v.unit, 0)
}

// usable reports whether n can take this call as far as the view is concerned.
func (v *View) usable(n *Node, in *PickInfo) bool {
	return n != nil && n.State() <= v.state && (in.ntried == 0 || !in.Tried(n)) && !n.atLimit(v.owner.limit)
}

// maxTurns bounds how many turns one pick uses up.
const maxTurns = 16

// first returns the first node that can take this call of those whose turn it
// is, and the last one looked at if none of them can.
func (v *View) first(now time.Time, in *PickInfo, next func() *Node) *Node {
	var n *Node
	for range maxTurns {
		if n = next(); v.usable(n, in) && v.Admit(now, n) {
			break
		}
	}
	return n
}

// retries is how often a pick that cannot be used is repeated before the nodes
// are gone through one by one.
const retries = 4

// pick returns a node that is untried and still in the view's state, or nil if
// there is none. It costs one pick of the policy unless the view is outdated.
func (v *View) pick(now time.Time, in PickInfo) *Node {
	if len(v.nodes) == 0 {
		return nil
	}
	for range retries {
		if n := v.picker.Pick(now, in); v.usable(n, &in) {
			return n
		}
	}
	return v.scan(func(n *Node) bool { return v.usable(n, &in) })
}

// again returns a node that is still in the view's state, tried or not.
func (v *View) again(now time.Time, in PickInfo) *Node {
	if len(v.nodes) == 0 {
		return nil
	}
	in.ntried = 0
	return v.pick(now, in)
}

// scan returns the first node that is ok from a random one on.
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

// A snapshot is everything that a pick reads: the views of one moment.
type snapshot struct {
	generation uint64
	built      int64 // when, in nanoseconds of the balancer
	members    *members
	used       []*Node // what this client uses of members.ordered
	partial    bool    // whether that may be a subset
	up         int     // of those used, Ready or Suspect
	ready      View
	suspect    View
}

// newSnapshot goes through the members until as many of them as the subset is to
// have are up, as far as it reaches. Suspect ones count: a network that stutters must
// not make a client leave its subset. The views have those of the first tier that is up.
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

// add puts a node into the view of its state, if it is of the tier that was the
// first to have one.
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

// random returns a random number: the runtime's, which no processors share, or
// the next one of the sequence that Config.Seed began.
func (b *Balancer) random() uint64 {
	if !b.seeded {
		return rand.Uint64()
	}
	return mix(b.rng.Add(golden))
}

// golden is 2^64 divided by the golden ratio, the step of splitmix64.
const golden = 0x9e3779b97f4a7c15

// mix is the output function of splitmix64: each input bit moves half of the
// output bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// infinity is more than any score.
const infinity = math.MaxFloat64
