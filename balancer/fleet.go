package balancer

import "sync/atomic"

// A fleet has the means over all nodes. A new node begins with them, an idle node drifts
// to them, and errors count as far as they exceed them.
type fleet struct {
	_         [64]byte     // keeps these words off the cache lines of other fields
	latency   ewma         // mean latency in nanoseconds, weighted by calls
	errors    ewma         // share of failed calls
	healthy   ewma         // share of failed calls among those to healthy nodes
	deaths    ewma         // share of failed calls among those to nodes that have just begun to fail
	appErrors ewma         // share of calls that ended with AppError
	others    ewma         // mean of the reported calls of other clients, per unit of weight
	spent     atomic.Int64 // trials that have failed, in calls; see trialCost
	_         [8]byte
	total     atomic.Int64 // calls in flight; counted only if the policy needs it
	_         [56]byte
}

// A node is healthy if its error rate exceeds the fleet's by no more than chance.

const (
	// fleetGain is the largest weight of one call in the fleet's latency and load.
	fleetGain = 0.1
	// fleetErrorGain is the weight of one call in the fleet's error rate.
	fleetErrorGain = 0.01
	// deathGain is the weight of one call in deaths. It is large because there are few such
	// calls.
	deathGain = 0.3
	// fleetRate is how fast the fleet's latency and load follow those of the nodes.
	fleetRate = 1.0 / 1024 // per tick
	// strainGain is the strain per share of failed calls to healthy nodes: strain is 1
	// if one call in forty fails.
	strainGain = 40
	// deathFactor is the strain per share of calls that succeed among those to nodes that
	// have just begun to fail. In overload some of these succeed. If all fail, the nodes have
	// died, and so may have healthy nodes that fail a call. This shows sooner than the error
	// rate of each node: if 100 of 1000 nodes die, each gets no more than a call or two from
	// one client.
	deathFactor = 4
	// deathTicks is how long after its first failure a node has just begun to fail.
	deathTicks = 1000
	// forgetGain is how much faster old errors are forgotten under strain. If it were
	// larger, a fleet with half of its nodes down would forget which half is down.
	forgetGain = 2
)

// A norm is the state of the fleet during one pick.
type norm struct {
	latency float64 // nanoseconds; 0 if unknown
	errors  float64 // from 0 to 1
	// strain, from 0 to 1, measures the failures of healthy nodes, a sign of overload
	// unless nodes have just died. Under strain even the capacity of failing nodes is
	// needed.
	strain float64
	// others is the mean number of calls that a node runs for other clients, per unit
	// of weight. It is negative if no server has reported its load.
	others float64
}

// reports returns the weight of reports in the score, from 0 to 1. It is 0 without
// reports and falls with the strain: in an overloaded fleet, all clients would send their
// calls to the few nodes with room.
func (f norm) reports() float64 {
	if f.others < 0 {
		return 0
	}
	return 1 - f.strain
}

// forget returns the rate at which old errors are forgotten, per tick.
func (f norm) forget() float64 { return errorRate * (1 + forgetGain*f.strain) }

// penalty returns the factor on the cost of a node for an excess of errors.
func (f norm) penalty(excess float64) float64 {
	return 1 + excessPenalty*excess*(1-f.strain*(1-excess*excess*excess))
}

// appErrorRate returns the share of calls that ended with AppError. It is mostly 0.
func (f *fleet) appErrorRate() float64 {
	v, _ := unpack(f.appErrors.word.Load())
	return v
}

// norm returns the state of the fleet at a tick.
func (f *fleet) norm(tick uint32) norm {
	latency, _ := unpack(f.latency.word.Load())
	others := -1.0
	if w := f.others.word.Load(); w != 0 {
		others, _ = unpack(w)
	}
	w := f.errors.word.Load()
	if w == 0 {
		return norm{latency: latency, others: others}
	}
	errors, _ := unpack(w)
	healthy, _ := unpack(f.healthy.word.Load())
	strain := min(strainGain*healthy, 1) * min(deathFactor*(1-f.deaths.at(tick, errorRate, 0)), 1)
	return norm{latency: latency, errors: errors, strain: strain, others: others}
}

// At most one call per tick is added to a mean. That is enough, and avoids contention for
// these words among processors.

// follow adds one call to a mean.
func (e *ewma) follow(x float64, tick uint32) {
	w := e.word.Load()
	if w == 0 {
		e.word.CompareAndSwap(0, pack(x, tick))
		return
	}
	v, last := unpack(w)
	if last == tick {
		return
	}
	gain := min(1-decay(ticks(last, tick)*fleetRate), fleetGain)
	e.word.CompareAndSwap(w, pack(v+gain*(x-v), tick))
}

// share adds one call to a share of failed calls: x is 1 if the call failed, and else 0.
func (e *ewma) share(x float64, tick uint32) {
	w := e.word.Load()
	v, last := unpack(w)
	if w != 0 && last == tick || v == 0 && x == 0 {
		return
	}
	e.word.CompareAndSwap(w, pack(v+fleetErrorGain*(x-v), tick))
}
