package balancer

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// latencyTau is the time constant of a latency, as in Finagle's Peak EWMA.
	latencyTau = 10 * time.Second
	// errorTau is the time constant of an error rate that gets no new samples.
	errorTau = 5 * time.Second
	// peakGain is the largest weight of one call that lowers a latency.
	peakGain = 0.1
	// errorGain is the weight of one call in its node's error rate.
	errorGain = 0.2
	// appErrorGain is the weight of one call in its node's rate of application errors.
	// It is small, so that nodes with the same share of them have similar rates.
	appErrorGain = 0.05
)

// tickShift sets the length of a tick to 2^20 ns, about a millisecond. The difference of
// two 32-bit ticks is then unambiguous within 26 days.
const tickShift = 20

func tickOf(t int64) uint32 { return uint32(t >> tickShift) }

// ticks returns the number of ticks between from and to, or 0 if to is not later.
func ticks(from, to uint32) float64 {
	return float64(max(int32(to-from), 0))
}

// An ewma is an average and the tick of its last sample. Both are in one word, so that
// they change together without a lock. Zero means that there was no sample.
//
// A read computes the decayed average and does not store it. Otherwise the weight of
// the next sample would depend on the time since the last read (linkerd2-proxy#4537).
type ewma struct{ word atomic.Uint64 }

func pack(v float64, tick uint32) uint64 {
	return uint64(math.Float32bits(float32(v)))<<32 | uint64(tick)
}

func unpack(w uint64) (v float64, tick uint32) {
	return float64(math.Float32frombits(uint32(w >> 32))), uint32(w)
}

// at returns the average at a tick. Since its last sample it moves towards rest, and
// without a sample it is rest.
func (e *ewma) at(tick uint32, rate, rest float64) float64 {
	w := e.word.Load()
	if w == 0 {
		return rest
	}
	v, last := unpack(w)
	return rest + (v-rest)*decay(ticks(last, tick)*rate)
}

func (e *ewma) set(v float64, tick uint32) { e.word.Store(pack(v, tick)) }

func (e *ewma) clear() { e.word.Store(0) }

// decay approximates exp(-x) for x ≥ 0 by a few multiplications. It is 1 at 0, falls
// monotonically, and differs from exp(-x) by less than 0.03.
func decay(x float64) float64 {
	return 1 / (1 + x*(1+x*(0.5+x*(1.0/6))))
}

// The arguments of decay, per tick.
const (
	latencyRate = (1 << tickShift) / float64(latencyTau)
	errorRate   = (1 << tickShift) / float64(errorTau)
)

// peak adds a latency in nanoseconds. A higher one replaces the average. A lower one has
// a weight by the time since the last sample, and at most peakGain: otherwise, after a
// pause, a single call would be most of the average. It would be low, because the averages of
// other nodes are those of many calls with their peaks.
func (e *ewma) peak(sample, rest float64, tick uint32) {
	for {
		w := e.word.Load()
		next := sample
		if w != 0 {
			v, last := unpack(w)
			if sample < v {
				if last == tick {
					return // its weight is 0
				}
				keep := decay(ticks(last, tick) * latencyRate)
				v = max(rest+(v-rest)*keep, sample)
				next = v + (sample-v)*min(1-keep, peakGain)
			}
		}
		if e.word.CompareAndSwap(w, pack(next, tick)) {
			return
		}
	}
}

// raise adds a lower bound of a latency, which may only raise the average. It does
// nothing if neither the average nor rest is known.
func (e *ewma) raise(sample, rest float64, tick uint32) {
	for {
		w := e.word.Load()
		if w != 0 {
			v, last := unpack(w)
			rest += (v - rest) * decay(ticks(last, tick)*latencyRate)
		}
		if rest == 0 || sample <= rest || e.word.CompareAndSwap(w, pack(sample, tick)) {
			return
		}
	}
}

// count adds one call to an error rate: x is 1 if the call failed, and else 0. Between
// samples the rate moves towards rest.
func (e *ewma) count(x, gain, rest, rate float64, tick uint32) {
	for {
		w := e.word.Load()
		v := rest
		if w != 0 {
			old, last := unpack(w)
			v += (old - v) * decay(ticks(last, tick)*rate)
		}
		if v == 0 && x == 0 {
			return // the common case writes nothing
		}
		if e.word.CompareAndSwap(w, pack(v+gain*(x-v), tick)) {
			return
		}
	}
}
