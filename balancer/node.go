package balancer

import (
	"sync/atomic"
	"time"
)

// A Node is one endpoint together with what has been learned about it. It is
// made by Update, keeps its statistics as long as its ID stays listed, and
// outlives its removal until the last of its tickets is done. All methods may
// be called concurrently.
type Node struct {
	// The first 64 bytes are all that a pick reads, so that it misses the
	// cache once per node.
	state    atomic.Uint32
	weight   atomic.Uint32
	inflight atomic.Int64
	progress atomic.Int64  // when it last answered or left idleness
	latency  ewma          // peak EWMA of the nanoseconds of successful calls
	errors   ewma          // share of failed calls
	refusals ewma          // share of calls that the application refused
	warming  atomic.Uint32 // the tick in which slow start began; 0 when it is over
	suspect  suspicion
	others   ewma // calls of other clients that the server runs, as last reported

	picks    atomic.Uint64
	owner    *Balancer
	id       string
	endpoint atomic.Pointer[Endpoint]
	removed  bool // guarded by owner.mu
	// suspended is set while Suspend holds it Down; guarded by owner.mu.
	suspended bool
	_         [22]byte // 128 bytes, so that the first 64 are one cache line
}

// NodeStats is a copy of a node's statistics.
type NodeStats struct {
	State    State
	Weight   int // at least 1
	InFlight int
	// Latency is the peak EWMA of successful calls as it counts at this
	// moment: an idle node's moves toward the fleet's. 0 means unknown.
	Latency time.Duration
	// ErrorRate is the recent share of failed calls, from 0 to 1.
	ErrorRate float64
	// AppErrorRate is the recent share of calls that ended with AppError.
	AppErrorRate float64
	// Picks is how many calls the node has been picked for.
	Picks uint64
	// Warming says that the node is in slow start.
	Warming bool
	// Suspicion is the level last set, or 0 if the node has answered since.
	Suspicion float64
	// Others is how many calls of other clients the server is taken to run: what it
	// last reported, less the more time has passed since, and the fleet's mean
	// instead. It is 0 while no server reports.
	Others float64
}

func newNode(b *Balancer, ep *Endpoint) *Node {
	n := &Node{owner: b, id: ep.ID}
	n.describe(ep)
	return n
}

// describe takes over what may change while the ID stays.
func (n *Node) describe(ep *Endpoint) {
	n.endpoint.Store(ep)
	n.weight.Store(uint32(max(ep.Weight, 1)))
}

// ID returns the ID of the node's endpoint.
func (n *Node) ID() string { return n.id }

// Value returns the Value of the node's endpoint as last given to Update.
func (n *Node) Value() any { return n.endpoint.Load().Value }

// Weight returns the endpoint's weight, at least 1.
func (n *Node) Weight() int { return int(n.weight.Load()) }

// Priority returns the Priority of the node's endpoint as last given to Update.
func (n *Node) Priority() int { return n.endpoint.Load().Priority }

// InFlight returns how many calls have been picked for n and are not done.
func (n *Node) InFlight() int { return int(n.inflight.Load()) }

// State returns the node's state.
func (n *Node) State() State { return State(n.state.Load()) }

// Stats returns the node's statistics as of now. The numbers are read one by
// one and may belong to slightly different moments.
func (n *Node) Stats(now time.Time) NodeStats {
	t, fleet := n.owner.nanos(now), n.owner.fleet.norm()
	return NodeStats{
		State:        n.State(),
		Weight:       n.Weight(),
		InFlight:     n.InFlight(),
		Latency:      time.Duration(n.latency.at(tickOf(t), latencyRate, fleet.latency)),
		ErrorRate:    n.errors.at(tickOf(t), fleet.forget(), fleet.errors),
		AppErrorRate: n.refusals.at(tickOf(t), errorRate, n.owner.fleet.refused()),
		Picks:        n.picks.Load(),
		Warming:      !n.warm(t),
		Suspicion:    n.suspect.level(),
		Others:       n.foreign(tickOf(t), fleet),
	}
}

const (
	// excessPenalty is by how much a node that fails every call, in a fleet
	// that fails none, looks slower than it is. The penalty is in proportion to
	// the excess, and in a strained fleet to its square: there even the slots
	// of a node that fails half of its calls are needed.
	excessPenalty = 100
	// chance is the excess of errors that is not charged. Without it, the first
	// node of an idle fleet to succeed after an outage of all would get every call
	// until the last trace of it is gone from the others.
	chance = 0.02
	// alike is the factor up to which a latency differs from the fleet's by
	// chance. Acting on such a difference would send most calls of a healthy
	// but idle fleet to the node that had the luckiest samples.
	alike = 1.75
	// refusalPenalty is what excessPenalty is, for errors of the application, and
	// refusalChance the excess of them that is not charged: which calls are refused is
	// often a matter of the calls.
	refusalPenalty = 100
	refusalChance  = 0.25
)

// cost returns what a call to n is expected to cost: its latency in
// nanoseconds, raised for failing more than the fleet and for being under
// suspicion. Charging only the
// excess keeps errors that all nodes share (a bad request, a common database)
// from drowning the latencies. A ratio to the fleet's errors would do that
// better, but fails where it matters most: of three nodes, a dead one that gets
// most of the calls makes its errors the fleet's.
func (n *Node) cost(t int64, fleet norm, inflight int64) float64 {
	tick := tickOf(t)
	c := n.level(tick, fleet)
	if inflight > 0 {
		// The oldest call is at least as old as the last sign of progress, so
		// a node that hangs shows before any of its calls has timed out.
		c = max(c, float64(t-n.progress.Load()))
	}
	if excess := n.errors.at(tick, fleet.forget(), fleet.errors) - fleet.errors; excess > chance {
		c *= fleet.penalty(excess)
	}
	if refused := n.owner.fleet.refused(); refused > 0 {
		if excess := n.refusals.at(tick, errorRate, refused) - refused; excess > refusalChance {
			c *= 1 + refusalPenalty*(excess-refusalChance)
		}
	}
	if n.suspect.any() {
		c *= n.suspect.factor()
	}
	return c
}

// level returns the latency of n as it counts: the fleet's if the two are alike.
// That is decided before the drift toward the fleet's, which leads no latency
// out of that range, and so costs nothing while all nodes are healthy.
func (n *Node) level(tick uint32, fleet norm) float64 {
	v, _ := unpack(n.latency.word.Load())
	if v == 0 || v < fleet.latency*alike && v*alike > fleet.latency {
		return max(fleet.latency, 1)
	}
	v = n.latency.at(tick, latencyRate, fleet.latency)
	if v < fleet.latency*alike && v*alike > fleet.latency {
		return fleet.latency
	}
	return v
}

// score returns the load of n, less is better, and the cost that went into it.
// The calls in flight, and those of other clients if servers report them, count in
// relation to n's weight, of which unit is the mean. An idle node's weight does not
// count, or an idle fleet's heaviest node would get every call; there the weight is a
// matter of how often n is drawn.
// The score is what it would be with so many calls more.
func (n *Node) score(t int64, fleet norm, unit, more float64) (score, cost float64) {
	inflight, weight := n.inflight.Load(), float64(n.weight.Load())
	if n.warming.Load() != 0 {
		weight *= n.share(t)
	}
	cost = n.cost(t, fleet, inflight)
	load := 1 + more + float64(inflight)*unit/weight
	if reports := fleet.reports(); reports > 0 {
		// Slow start is a matter of this client's calls: that the server is new to it
		// does not make the others' weigh more.
		// What is left of old reports must not decide between nodes that are idle.
		if others := n.foreign(tickOf(t), fleet); others >= leastOthers {
			load += reports * others * unit / float64(n.weight.Load())
		}
	}
	return cost * load, cost
}

// begin counts a call that has been picked for n and returns how many others n
// has, or false if n has no room. The first one restarts progress before it is
// counted, or a scorer in between would take the time that n was idle for the age
// of a call.
func (n *Node) begin(t int64) (others int64, ok bool) {
	if n.inflight.Load() == 0 {
		n.progress.Store(t)
	}
	if others, ok = n.reserve(); !ok {
		return others, false
	}
	n.picks.Add(1)
	if n.owner.total {
		n.owner.fleet.total.Add(1)
	}
	return others, true
}

// reserve takes a place in flight, of which there are no more than the limit at any
// moment: adding first and looking afterwards could turn others away in between.
func (n *Node) reserve() (others int64, ok bool) {
	limit := n.owner.limit
	if limit == 0 {
		return n.inflight.Add(1) - 1, true
	}
	for {
		others = n.inflight.Load()
		if others >= limit {
			return others, false
		}
		if n.inflight.CompareAndSwap(others, others+1) {
			return others, true
		}
	}
}

// atLimit reports whether n has no room for another call.
func (n *Node) atLimit(limit int64) bool { return limit > 0 && n.inflight.Load() >= limit }

// end takes back what begin counted and learns from the outcome.
func (n *Node) end(start, t int64, o Outcome) {
	n.inflight.Add(-1)
	fleet := &n.owner.fleet
	if n.owner.total {
		fleet.total.Add(-1)
	}
	took, tick := float64(max(t-start, 1)), tickOf(t)
	switch o {
	case Success:
		n.live(t)
		n.latency.peak(took, tick)
		latency, _ := unpack(n.latency.word.Load())
		fleet.latency.follow(latency, tick)
		n.count(0, tick)
		n.countRefusal(0, tick)
	case AppError:
		n.live(t)
		n.latency.raise(took, fleet.norm().latency, tick)
		n.countRefusal(1, tick)
	case Failure:
		n.count(1, tick)
	case Canceled:
		n.latency.raise(took, fleet.norm().latency, tick)
	}
}

// count takes one call into the error rates: x is 1 if it failed, else 0. A node
// stays unsound until it succeeds: what was forgotten of it is no news to the
// fleet if it fails again.
func (n *Node) count(x float64, tick uint32) {
	f := &n.owner.fleet
	if x == 0 && f.errors.word.Load() == 0 {
		return // none has failed yet
	}
	norm := f.norm()
	before, _ := unpack(n.errors.word.Load())
	n.errors.count(x, errorGain, norm.errors, norm.forget(), tick)
	f.errors.share(x, tick)
	if before-norm.errors <= chance {
		f.sound.share(x, tick)
	}
}

// countRefusal takes one call into the rates of refusals: x is 1 if the application
// returned an error, else 0.
func (n *Node) countRefusal(x float64, tick uint32) {
	f := &n.owner.fleet
	if x == 0 && f.refusals.word.Load() == 0 {
		return // none has refused yet
	}
	refused := f.refused()
	excess := n.refusals.at(tick, errorRate, refused) - refused
	n.refusals.count(x, refusalGain, refused, errorRate, tick)
	if excess <= refusalChance { // or one node that draws most of the calls makes its own the norm
		f.refusals.share(x, tick)
	}
}

// live notes a sign of life.
func (n *Node) live(t int64) {
	n.progress.Store(t)
	n.suspect.clear()
}

// renew forgets the past of a node that comes back, and takes it for an
// average one: seeded lower it would be flooded, seeded higher it would not be
// used while others are idle (tower#134).
func (n *Node) renew(t int64) {
	fleet, tick := n.owner.fleet.norm(), tickOf(t)
	n.latency.clear()
	if fleet.latency > 0 {
		n.latency.set(fleet.latency, tick)
	}
	n.errors.clear()
	n.refusals.clear()
	n.others.clear()
	n.live(t)
	n.startSlow(t)
}
