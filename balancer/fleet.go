package balancer

import "sync/atomic"

// A fleet is what the nodes have in common: what a new node is taken for, what
// an idle one drifts back to, and what a bad one is measured against.
type fleet struct {
	_       [64]byte // keeps the shared words off the lines of their neighbours
	latency ewma     // mean of the nodes' latencies in nanoseconds, per call
	errors  ewma     // share of failed calls
	_       [48]byte
	total   atomic.Int64 // calls in flight; counted only for policies that ask
	_       [56]byte
}

const (
	// fleetGain is the most weight that one call has in the fleet's latency.
	fleetGain = 0.1
	// fleetErrorGain is the weight of one call in the fleet's error rate.
	fleetErrorGain = 0.01
	// fleetRate is how fast the fleet's latency follows that of its nodes.
	fleetRate = 1.0 / 1024 // per tick
)

// A norm is the fleet's state at the time of one pick.
type norm struct {
	latency float64 // nanoseconds; 0 if unknown
	errors  float64 // from 0 to 1
}

func (f *fleet) norm() norm {
	latency, _ := unpack(f.latency.word.Load())
	errors, _ := unpack(f.errors.word.Load())
	return norm{latency: latency, errors: errors}
}

// Both means take one call a tick, which is enough for a mean and keeps busy
// processors from passing these words around with every call.

func (f *fleet) observe(latency float64, tick uint32) {
	w := f.latency.word.Load()
	if w == 0 {
		f.latency.word.CompareAndSwap(0, pack(latency, tick))
		return
	}
	v, last := unpack(w)
	if last == tick {
		return
	}
	gain := min(1-decay(ticks(last, tick)*fleetRate), fleetGain)
	f.latency.word.CompareAndSwap(w, pack(v+gain*(latency-v), tick))
}

func (f *fleet) count(x float64, tick uint32) {
	w := f.errors.word.Load()
	v, last := unpack(w)
	if w != 0 && last == tick || v == 0 && x == 0 {
		return
	}
	f.errors.word.CompareAndSwap(w, pack(v+fleetErrorGain*(x-v), tick))
}
