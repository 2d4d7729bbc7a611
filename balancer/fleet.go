package balancer

import "sync/atomic"

// A fleet is what the nodes have in common: what a new node is taken for, what
// an idle one drifts back to, and what a bad one is measured against.
type fleet struct {
	_       [64]byte // keeps the shared words off the lines of their neighbors
	latency ewma     // mean of the nodes' latencies in nanoseconds, per call
	errors  ewma     // share of failed calls
	sound   ewma     // the same of nodes that fail no more than the fleet
	// refusals is the share of calls that applications refused.
	refusals ewma
	others   ewma // mean of the nodes' reported calls of other clients, for each unit of weight
	_        [24]byte
	total    atomic.Int64 // calls in flight; counted only for policies that ask
	_        [56]byte
}

const (
	// fleetGain is the most weight that one call has in the fleet's latency and load.
	fleetGain = 0.1
	// fleetErrorGain is the weight of one call in the fleet's error rate.
	fleetErrorGain = 0.01
	// fleetRate is how fast these follow those of its nodes.
	fleetRate = 1.0 / 1024 // per tick
	// strainGain is the strain for each failed call to a sound node, of one: all
	// strain is one in forty.
	strainGain = 40
	// haste is how much faster old errors are forgotten under strain. With more, a
	// large fleet of which half is down forgets which half that is.
	haste = 2
)

// A norm is the fleet's state at the time of one pick.
type norm struct {
	latency float64 // nanoseconds; 0 if unknown
	errors  float64 // from 0 to 1
	// strain, from 0 to 1, says that even sound nodes fail calls, which is what
	// an overloaded fleet does. Then there is less to lose by trying a bad node,
	// and what it can still do is needed.
	strain float64
	// others is the mean, for each unit of weight, of the calls that the nodes run for
	// other clients. It is negative if none has reported its load.
	others float64
}

// reports says how much the servers' reports of their load count, from 0 to 1: nothing
// if there are none, and the less the shorter of capacity the fleet is. Then the nodes
// with room are few, and all clients that know of them would flood them.
func (f norm) reports() float64 {
	if f.others < 0 {
		return 0
	}
	return 1 - f.strain
}

// forget returns the rate at which old errors are forgotten, per tick.
func (f norm) forget() float64 { return errorRate * (1 + haste*f.strain) }

// penalty returns what a cost is multiplied by for an excess of errors.
func (f norm) penalty(excess float64) float64 {
	return 1 + excessPenalty*excess*(1-f.strain*(1-excess))
}

// refused is the share of calls that applications refused, at most times 0.
func (f *fleet) refused() float64 {
	v, _ := unpack(f.refusals.word.Load())
	return v
}

func (f *fleet) norm() norm {
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
	sound, _ := unpack(f.sound.word.Load())
	return norm{latency: latency, errors: errors, strain: min(strainGain*sound, 1), others: others}
}

// The means take one call a tick, which is enough for a mean and keeps busy
// processors from passing these words around with every call.

// follow takes one call into a mean of the nodes.
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

// share takes one call into a share of failed calls: x is 1 if it failed, else 0.
func (e *ewma) share(x float64, tick uint32) {
	w := e.word.Load()
	v, last := unpack(w)
	if w != 0 && last == tick || v == 0 && x == 0 {
		return
	}
	e.word.CompareAndSwap(w, pack(v+fleetErrorGain*(x-v), tick))
}
