package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const ms = time.Millisecond

// A beat is a heartbeat that arrived. Times are since the start of the trace.
type beat struct {
	seq        int
	sent, came time.Duration
}

// A workload makes the beats of a live peer that sends n of them, every eta.
type workload struct {
	name string
	make func(r *rand.Rand, n int, eta time.Duration) []beat
}

// workloads are the networks and peers under which detectors are compared.
// Overtaken beats are dropped, as in the papers.
var workloads = []workload{
	{"LAN jitter", func(r *rand.Rand, n int, eta time.Duration) []beat {
		return deliver(steady(n, eta), func(time.Duration) time.Duration { return lognormal(r, 300*time.Microsecond, 0.4) })
	}},
	{"WAN bursts", wan},
	{"loss 1 %", lossy(0.01)},
	{"loss 5 %", lossy(0.05)},
	{"loss 10 %", lossy(0.10)},
	{"Gilbert-Elliott", gilbert},
	{"GC pauses", collector},
	{"bufferbloat", bloat},
	{"interval drift", drift},
	{"Pareto delay", func(r *rand.Rand, n int, eta time.Duration) []beat {
		return deliver(steady(n, eta), func(time.Duration) time.Duration {
			return times(5*ms, math.Pow(1-r.Float64(), -1/1.5))
		})
	}},
	{"regime change", regime},
	{"stalling host", stalls},
}

const lost = time.Duration(-1)

// deliver sends at the given times; delay returns lost for a beat that never
// arrives.
func deliver(sent []time.Duration, delay func(at time.Duration) time.Duration) []beat {
	all := make([]beat, 0, len(sent))
	for i, at := range sent {
		if d := delay(at); d != lost {
			all = append(all, beat{i, at, at + d})
		}
	}
	slices.SortStableFunc(all, func(a, b beat) int { return int(a.came - b.came) })
	next := 0
	return slices.DeleteFunc(all, func(b beat) bool {
		if b.seq < next {
			return true
		}
		next = b.seq + 1
		return false
	})
}

func steady(n int, eta time.Duration) []time.Duration {
	sent := make([]time.Duration, n)
	for i := range sent {
		sent[i] = time.Duration(i) * eta
	}
	return sent
}

func times(d time.Duration, f float64) time.Duration { return time.Duration(float64(d) * f) }

func exponential(r *rand.Rand, mean time.Duration) time.Duration { return times(mean, r.ExpFloat64()) }

func lognormal(r *rand.Rand, median time.Duration, sigma float64) time.Duration {
	return times(median, math.Exp(sigma*r.NormFloat64()))
}

// wan is like the path of the accrual paper: 0.4 % lost, mostly one by one,
// and rare bursts of up to a thousand beats.
func wan(r *rand.Rand, n int, eta time.Duration) []beat {
	burst := 0
	return deliver(steady(n, eta), func(time.Duration) time.Duration {
		if burst == 0 && r.Float64() < 0.0012 {
			burst = 1
			if r.Float64() < 0.1 {
				burst = int(min(1000, math.Pow(1-r.Float64(), -1/0.9)))
			}
		}
		if burst > 0 {
			burst--
			return lost
		}
		return 135*ms + exponential(r, 5*ms) + exponential(r, 5*ms)/2
	})
}

func lossy(p float64) func(*rand.Rand, int, time.Duration) []beat {
	return func(r *rand.Rand, n int, eta time.Duration) []beat {
		return deliver(steady(n, eta), func(time.Duration) time.Duration {
			if r.Float64() < p {
				return lost
			}
			return 10*ms + exponential(r, 2*ms)
		})
	}
}

// gilbert is a link with a bad state, in which it loses half of the beats.
func gilbert(r *rand.Rand, n int, eta time.Duration) []beat {
	bad := false
	return deliver(steady(n, eta), func(time.Duration) time.Duration {
		if bad = r.Float64() < map[bool]float64{false: 0.01, true: 0.7}[bad]; bad && r.Float64() < 0.5 {
			return lost
		}
		return 10*ms + exponential(r, 2*ms)
	})
}

// collector is a peer that stops every half minute for a quarter of a second
// or, rarely, for many. Its ticker drops what it missed.
func collector(r *rand.Rand, n int, eta time.Duration) []beat {
	var sent []time.Duration
	from := exponential(r, 30*time.Second)
	to := from + pause(r, 8*time.Second)
	for _, at := range steady(n, eta) {
		for to < at {
			from = to + exponential(r, 30*time.Second)
			to = from + pause(r, 8*time.Second)
		}
		if at >= from {
			at = to
		}
		if len(sent) == 0 || at > sent[len(sent)-1] {
			sent = append(sent, at)
		}
	}
	return deliver(sent, func(time.Duration) time.Duration { return ms + exponential(r, ms/2) })
}

func pause(r *rand.Rand, longest time.Duration) time.Duration {
	return min(longest, lognormal(r, 250*ms, 1))
}

// bloat is a queue that fills to 800 ms in five seconds and drains in three,
// every forty.
func bloat(r *rand.Rand, n int, eta time.Duration) []beat {
	return deliver(steady(n, eta), func(at time.Duration) time.Duration {
		if r.Float64() < 0.001 {
			return lost
		}
		return 15*ms + queue(at) + exponential(r, 3*ms)
	})
}

func queue(at time.Duration) time.Duration {
	switch u := at % (40 * time.Second); {
	case u < 5*time.Second:
		return times(800*ms, u.Seconds()/5)
	case u < 8*time.Second:
		return times(800*ms, 1-(u.Seconds()-5)/3)
	}
	return 0
}

// drift is a sender whose period doubles in the course of the trace, over a
// path that becomes slower.
func drift(r *rand.Rand, n int, eta time.Duration) []beat {
	sent := make([]time.Duration, n)
	for i := 1; i < n; i++ {
		sent[i] = sent[i-1] + times(eta, 1+float64(i)/float64(n)+0.01*r.NormFloat64())
	}
	end := sent[n-1]
	return deliver(sent, func(at time.Duration) time.Duration {
		return 10*ms + times(140*ms, float64(at)/float64(end)) + exponential(r, 2*ms)
	})
}

// regime is a quiet path that is noisy for ten seconds in every two minutes.
func regime(r *rand.Rand, n int, eta time.Duration) []beat {
	return deliver(steady(n, eta), func(at time.Duration) time.Duration {
		if at%(2*time.Minute) < 10*time.Second {
			return 2*ms + exponential(r, 60*ms)
		}
		return 2*ms + exponential(r, ms/2)
	})
}

// stalls is a busy host whose timer is late by tens of milliseconds now and
// then and by a second once in two hours.
func stalls(r *rand.Rand, n int, eta time.Duration) []beat {
	sent := steady(n, eta)
	for i := range sent {
		switch u := r.Float64(); {
		case u < 1e-5:
			sent[i] += time.Second + exponential(r, 100*ms)
		case u < 0.01:
			sent[i] += exponential(r, 20*ms)
		}
		if i > 0 {
			sent[i] = max(sent[i], sent[i-1])
		}
	}
	return deliver(sent, func(at time.Duration) time.Duration {
		if r.Float64() < 0.002 {
			return lost
		}
		return 40*ms + exponential(r, 2*ms) + exponential(r, 2*ms)
	})
}
