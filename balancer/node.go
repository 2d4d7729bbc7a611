package balancer

import (
	"sync/atomic"
	"time"
)

// A Node is an endpoint with its statistics. Update creates it, and later Updates keep it
// as long as they list its ID. A removed node stays usable until its last ticket is
// done. All methods may be called concurrently.
type Node struct {
	// A pick and its Done use only the first 64 bytes, which are one cache line, unless
	// servers report their load, or some call has ended with AppError.
	state    atomic.Uint32
	weight   atomic.Uint32
	calls    tally
	progress atomic.Int64  // the time of its last reply, or of its first call in flight if later
	latency  ewma          // peak EWMA of the nanoseconds of successful calls
	doubt    ewma          // the last slow call, until the next call is not slow; see confirm
	errors   ewma          // share of failed calls
	warming  atomic.Uint32 // the tick in which slow start began; 0 without slow start
	suspect  suspicion
	owner    *Balancer

	appErrors ewma // share of calls that ended with AppError
	others    ewma // calls of other clients, by the server's last report
	spell     spell
	id        string
	endpoint  atomic.Pointer[Endpoint]
	removed   bool     // guarded by owner.mu
	suspended bool     // Suspend has set it to Down; guarded by owner.mu
	_         [14]byte // makes it 128 bytes, a multiple of a cache line
}

// NodeStats is a copy of a node's statistics.
type NodeStats struct {
	State    State
	Weight   int // at least 1
	InFlight int
	// Latency is the peak EWMA of successful calls. A single slow call does not raise it:
	// the next one must be slow, too. An idle node's latency drifts to the mean of all
	// nodes. 0 means unknown: the first two calls to a node make it known.
	Latency time.Duration
	// ErrorRate is the recent share of failed calls, from 0 to 1.
	ErrorRate float64
	// AppErrorRate is the recent share of calls that ended with AppError.
	AppErrorRate float64
	// Picks is how often the node was picked.
	Picks uint64
	// Warming says that the node is in slow start.
	Warming bool
	// Suspicion is the level set last, or 0 if the node has answered since.
	Suspicion float64
	// Others estimates the calls that the server runs for other clients, from its last
	// report. With the age of the report it moves to the mean of all nodes. It is 0 if
	// no server reports its load.
	Others float64
}

func newNode(b *Balancer, ep *Endpoint) *Node {
	n := &Node{owner: b, id: ep.ID}
	n.describe(ep)
	return n
}

// describe sets the attributes that an Update may change.
func (n *Node) describe(ep *Endpoint) {
	n.endpoint.Store(ep)
	n.weight.Store(uint32(max(ep.Weight, 1)))
}

// ID returns the ID of the node's endpoint.
func (n *Node) ID() string { return n.id }

// Value returns the endpoint's Value from the last Update.
func (n *Node) Value() any { return n.endpoint.Load().Value }

// Weight returns the endpoint's weight, at least 1.
func (n *Node) Weight() int { return int(n.weight.Load()) }

// Priority returns the endpoint's Priority from the last Update.
func (n *Node) Priority() int { return n.endpoint.Load().Priority }

// InFlight returns the number of calls in flight: picked and not yet done.
func (n *Node) InFlight() int { return int(n.calls.inflight()) }

// State returns the node's state.
func (n *Node) State() State { return State(n.state.Load()) }

// Stats returns the node's statistics at now. Concurrent changes may be in some fields
// and not yet in others.
func (n *Node) Stats(now time.Time) NodeStats {
	t := n.owner.nanos(now)
	fleet := n.owner.fleet.norm(tickOf(t))
	return NodeStats{
		State:        n.State(),
		Weight:       n.Weight(),
		InFlight:     n.InFlight(),
		Latency:      time.Duration(n.latency.at(tickOf(t), latencyRate, fleet.latency)),
		ErrorRate:    n.errors.at(tickOf(t), fleet.forget(), fleet.errors),
		AppErrorRate: n.appErrors.at(tickOf(t), errorRate, n.owner.fleet.appErrorRate()),
		Picks:        n.calls.picks(),
		Warming:      !n.warm(t),
		Suspicion:    n.suspect.level(),
		Others:       n.otherCalls(tickOf(t), fleet),
	}
}

const (
	// excessPenalty is the penalty on the latency per excess of errors, from 0 to 1.
	// Under strain it is in proportion to the fourth power of the excess: even a node
	// that fails half of its calls has capacity that no other node has, but one that
	// fails all of them has none. The square, at which chance differences of the error rates
	// shift more calls, costs up to half a point of success where overloaded servers
	// refuse calls; it gains up to a point where calls time out in long queues.
	excessPenalty = 100
	// chance is the excess of errors without a penalty. Otherwise, after an outage of
	// all nodes, the first node to succeed would get every call until the others'
	// error rates are exactly 0.
	chance = 0.02
	// appErrorPenalty and appErrorChance are the same for application errors.
	// appErrorChance is larger than chance, because these errors often depend on the
	// call.
	appErrorPenalty = 100
	appErrorChance  = 0.25
)

// cost returns the expected cost of a call to n: its latency in nanoseconds, times the
// penalties for errors in excess of the fleet's and for suspicion. It uses the excess,
// so that latencies still decide if all nodes have errors (a bad request, a common
// database). A ratio to the fleet's errors would fail in small fleets: a dead node that
// gets most of the calls determines the fleet's error rate.
func (n *Node) cost(t int64, v *View, fleet norm, inflight int64) float64 {
	tick := tickOf(t)
	c := n.level(tick, fleet)
	if inflight > 0 {
		// Some call has been in flight since progress or longer. So a node that hangs
		// is avoided before its first call times out.
		c = max(c, float64(t-n.progress.Load()))
	}
	if excess := n.errors.at(tick, fleet.forget(), fleet.errors) - fleet.errors; excess > chance && !v.forgives(n, tick, fleet, inflight) {
		c *= fleet.penalty(excess)
	}
	if rate := n.owner.fleet.appErrorRate(); rate > 0 {
		if excess := n.appErrors.at(tick, errorRate, rate) - rate; excess > appErrorChance {
			c *= 1 + appErrorPenalty*(excess-appErrorChance)
		}
	}
	if n.suspect.any() {
		c *= n.suspect.factor()
	}
	return c
}

// score returns the load of n, of which less is better, and n's cost. The load is the cost
// times one more than the calls in flight, own and reported, per weight relative to the
// view's mean. more is added to the calls in flight.
//
// The weight of an idle node has no effect on its score. Otherwise the heaviest node of
// an idle fleet would get every call. There, weights have an effect by the probability
// with which nodes are drawn.
func (n *Node) score(t int64, v *View, fleet norm, more float64) (score, cost float64) {
	inflight, weight := n.calls.inflight(), float64(n.weight.Load())
	if n.warming.Load() != 0 {
		weight *= n.share(t)
	}
	cost = n.cost(t, v, fleet, inflight)
	load := 1 + more + float64(inflight)*v.unit/weight
	if reports := fleet.reports(); reports > 0 {
		// Slow start is for this client's calls only, so other clients' calls have the
		// full weight. The remains of an old report must not decide between idle nodes.
		if others := n.otherCalls(tickOf(t), fleet); others >= leastOthers {
			load += reports * others * v.unit / float64(n.weight.Load())
		}
	}
	return cost * load, cost
}

// begin counts a call to n and returns the number of other calls in flight, or false if
// n is full. If n is idle, begin sets progress first: otherwise a concurrent score would
// take the idle time for the age of a call.
func (n *Node) begin(t int64) (others int64, ok bool) {
	if n.calls.inflight() == 0 {
		n.progress.Store(t)
	}
	if others, ok = n.calls.begin(n.owner.limit); !ok {
		return others, false
	}
	if n.owner.total {
		n.owner.fleet.total.Add(1)
	}
	return others, true
}

// atLimit reports whether n is full.
func (n *Node) atLimit(limit int64) bool { return limit > 0 && n.calls.inflight() >= limit }

// end undoes begin and updates the statistics by the outcome.
func (n *Node) end(start, t int64, o Outcome) {
	n.calls.end()
	if n.owner.total {
		n.owner.fleet.total.Add(-1)
	}
	took, tick := float64(max(t-start, 1)), tickOf(t)
	switch o {
	case Success:
		n.live(t)
		n.answered(start, took, tick)
		n.count(0, tickOf(start), tick)
		n.countAppError(0, tick)
	case AppError:
		n.live(t)
		n.raise(start, took, tick)
		n.countAppError(1, tick)
	case Failure:
		n.count(1, tickOf(start), tick)
	case Canceled:
		n.raise(start, took, tick)
	}
}

// count adds one call to the error rates: x is 1 if the call failed, and else 0. Whether
// the node is healthy depends on its error rate after its last call, without decay. So
// a failing node does not count as healthy when it fails again after a pause.
func (n *Node) count(x float64, start, tick uint32) {
	f := &n.owner.fleet
	if x == 0 && f.errors.word.Load() == 0 {
		return // none has failed yet
	}
	norm := f.norm(tick)
	before, _ := unpack(n.errors.word.Load())
	healthy := before-norm.errors <= chance
	n.errors.count(x, errorGain, norm.errors, norm.forget(), tick)
	if x > 0 {
		n.failed(start, tick, norm)
	} else {
		n.succeeded(start, healthy)
	}
	f.errors.share(x, tick)
	if healthy {
		f.healthy.share(x, tick)
	} else if first, _ := unpackSpell(n.spell.word.Load()); ticks(first, tick) < deathTicks {
		f.deaths.count(x, deathGain, 0, errorRate, tick)
	}
}

// countAppError adds one call to the rates of application errors: x is 1 if the call ended
// with AppError, and else 0.
func (n *Node) countAppError(x float64, tick uint32) {
	f := &n.owner.fleet
	if x == 0 && f.appErrors.word.Load() == 0 {
		return // there was none yet
	}
	rate := f.appErrorRate()
	excess := n.appErrors.at(tick, errorRate, rate) - rate
	n.appErrors.count(x, appErrorGain, rate, errorRate, tick)
	if excess <= appErrorChance { // else a bad node with most of the calls would determine the mean
		f.appErrors.share(x, tick)
	}
}

// live records a reply.
func (n *Node) live(t int64) {
	n.progress.Store(t)
	n.suspect.clear()
}

// renew resets the statistics of a node that is new or was Down. Its latency begins with
// the fleet's mean: with a lower one the node would be flooded, and with a higher one it
// would get no calls while others are idle (tower#134).
func (n *Node) renew(t int64) {
	tick := tickOf(t)
	fleet := n.owner.fleet.norm(tick)
	n.latency.clear()
	n.doubt.clear()
	if fleet.latency > 0 {
		n.latency.set(fleet.latency, tick)
	}
	n.errors.clear()
	n.spell.clear()
	n.appErrors.clear()
	n.others.clear()
	n.live(t)
	n.startSlow(t)
}
