package balancer

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// latencyTau is the time in which a latency forgets most of its past: the
	// one of Finagle's Peak EWMA.
	latencyTau = 10 * time.Second
	// errorTau is the same for an error rate that gets no new samples.
	errorTau = 5 * time.Second
	// errorGain is the weight of one call in its node's error rate.
	errorGain = 0.2
	// refusalGain is the same for errors of the application: so little that a share of
	// them that all nodes have looks alike everywhere.
	refusalGain = 0.05
)

// tickShift makes a tick of 2^20 ns, about a millisecond, which lets 32 bits
// tell apart 26 days of past from as many of future.
const tickShift = 20

func tickOf(t int64) uint32 { return uint32(t >> tickShift) }

// ticks returns the time from one tick to a later one, and 0 if it is not later.
func ticks(from, to uint32) float64 {
	return float64(max(int32(to-from), 0))
}

// An ewma is an average and the tick of its last sample in one word, so that
// both change together without a lock. The zero word is an average that has
// had no sample.
//
// A read projects the average to the present and writes nothing. One that
// stored what it has decayed to would weigh samples by the time since the last
// read rather than the last sample (linkerd2-proxy#4537).
type ewma struct{ word atomic.Uint64 }

func pack(v float64, tick uint32) uint64 {
	return uint64(math.Float32bits(float32(v)))<<32 | uint64(tick)
}

func unpack(w uint64) (v float64, tick uint32) {
	return float64(math.Float32frombits(uint32(w >> 32))), uint32(w)
}

// at returns the average as of a tick, having moved from its last sample
// toward rest, or rest if there is no sample.
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

// decay approximates exp(-x) for x ≥ 0 in a few multiplications. It is 1 at 0,
// falls monotonically, and is within 0.03 of it everywhere.
func decay(x float64) float64 {
	return 1 / (1 + x*(1+x*(0.5+x*(1.0/6))))
}

// What decays per tick, as decay's argument.
const (
	latencyRate = (1 << tickShift) / float64(latencyTau)
	errorRate   = (1 << tickShift) / float64(errorTau)
)

// peak takes a latency in nanoseconds: a higher one replaces the average at
// once, a lower one moves it by the time since the last sample.
func (e *ewma) peak(sample float64, tick uint32) {
	for {
		w := e.word.Load()
		next := sample
		if w != 0 {
			v, last := unpack(w)
			if sample < v {
				if last == tick {
					return // no time has passed, so it would weigh nothing
				}
				keep := decay(ticks(last, tick) * latencyRate)
				next = v*keep + sample*(1-keep)
			}
		}
		if e.word.CompareAndSwap(w, pack(next, tick)) {
			return
		}
	}
}

// raise takes a lower bound of a latency: it lifts the average or does nothing. Where
// nothing is known, not even of the rest, a bound of perhaps nothing is no news.
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

// count takes one call into an error rate: x is 1 if it failed, else 0.
// Without samples the rate moves toward rest.
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
