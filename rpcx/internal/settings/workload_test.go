package settings

import (
	"math"
	"math/rand/v2"
	"time"
)

const ms = time.Millisecond

// A path is the network between the client and one server, and the pauses of that server.
type path struct {
	floor time.Duration // of one way
	// further is what a reply takes in addition, which the server writes at a time since the
	// beginning of the run. Times do not go back. Nil is nothing.
	further func(at time.Duration) time.Duration
}

// A workload makes the path to one server. They are those of detector/internal/lab, as TCP
// shows them: what is lost is sent again, and holds up what follows.
type workload struct {
	name    string
	typical time.Duration // of a round trip
	make    func(r *rand.Rand) path
}

var workloads = []workload{
	{"LAN jitter", ms / 2, func(r *rand.Rand) path {
		return path{ms / 10, func(time.Duration) time.Duration { return lognormal(r, 300*time.Microsecond, 0.4) }}
	}},
	{"WAN bursts", 140 * ms, wan},
	{"loss 1 %", 12 * ms, lossy(0.01)},
	{"loss 5 %", 12 * ms, lossy(0.05)},
	{"loss 10 %", 12 * ms, lossy(0.10)},
	{"Gilbert-Elliott", 12 * ms, gilbert},
	{"GC pauses", 2 * ms, collector},
	{"bufferbloat", 20 * ms, bloat},
	{"interval drift", 80 * ms, drift},
	{"Pareto delay", 10 * ms, func(r *rand.Rand) path {
		return path{ms, func(time.Duration) time.Duration { return times(5*ms, math.Pow(1-r.Float64(), -1/1.5)) }}
	}},
	{"regime change", 3 * ms, regime},
	{"stalling host", 44 * ms, stalls},
}

func times(d time.Duration, f float64) time.Duration { return time.Duration(float64(d) * f) }

func exponential(r *rand.Rand, mean time.Duration) time.Duration { return times(mean, r.ExpFloat64()) }

func lognormal(r *rand.Rand, median time.Duration, sigma float64) time.Duration {
	return times(median, math.Exp(sigma*r.NormFloat64()))
}

// resent is how long a segment takes longer that is lost for as long as lost says so: the
// sender waits for 200 ms and a round trip, and twice as long each time.
func resent(roundTrip time.Duration, lost func(after time.Duration) bool) time.Duration {
	after, wait := time.Duration(0), 200*ms+roundTrip
	for lost(after) {
		after += wait
		wait *= 2
	}
	return after
}

// A spell is a time that comes again and again; from and to are those of the next or current.
type spell struct{ from, to time.Duration }

// within returns how long the spell lasts on, 0 if at is in none. next makes the one after.
func (s *spell) within(at time.Duration, next func(after time.Duration) spell) time.Duration {
	for s.to <= at {
		*s = next(s.to)
	}
	if at < s.from {
		return 0
	}
	return s.to - at
}

// wan loses everything for 100 ms once in 83 s, and for longer in one of ten such times.
func wan(r *rand.Rand) path {
	next := func(after time.Duration) spell {
		from, lasts := after+exponential(r, 83*time.Second), 100*ms
		if r.Float64() < 0.1 {
			lasts = times(lasts, min(1000, math.Pow(1-r.Float64(), -1/0.9)))
		}
		return spell{from, from + lasts}
	}
	burst := next(0)
	return path{67 * ms, func(at time.Duration) time.Duration {
		left := burst.within(at, next)
		return exponential(r, 5*ms) + exponential(r, 5*ms)/2 +
			resent(140*ms, func(after time.Duration) bool { return after < left })
	}}
}

// lossy loses requests and replies alike.
func lossy(p float64) func(*rand.Rand) path {
	return func(r *rand.Rand) path {
		lost := func(time.Duration) bool { return r.Float64() < p }
		return path{5 * ms, func(time.Duration) time.Duration {
			return exponential(r, 2*ms) + resent(12*ms, lost) + resent(12*ms, lost)
		}}
	}
}

// gilbert has a bad state, in which it loses half. The state is that of 100 ms.
func gilbert(r *rand.Rand) path {
	states := []bool{false}
	bad := func(at time.Duration) bool {
		i := int(at / (100 * ms))
		for last := len(states) - 1; last < i; last++ {
			states = append(states, r.Float64() < map[bool]float64{false: 0.01, true: 0.7}[states[last]])
		}
		return states[i]
	}
	return path{5 * ms, func(at time.Duration) time.Duration {
		return exponential(r, 2*ms) + resent(12*ms, func(after time.Duration) bool { return bad(at+after) && r.Float64() < 0.5 })
	}}
}

// collector stops each half minute for a quarter of a second or, rarely, for up to eight.
func collector(r *rand.Rand) path {
	next := func(after time.Duration) spell {
		from := after + exponential(r, 30*time.Second)
		return spell{from, from + min(8*time.Second, lognormal(r, 250*ms, 1))}
	}
	pause := next(0)
	return path{ms / 2, func(at time.Duration) time.Duration {
		return exponential(r, ms/2) + pause.within(at, next)
	}}
}

// bloat is a queue that fills to 800 ms in five seconds and drains in three, every forty.
func bloat(r *rand.Rand) path {
	phase := times(40*time.Second, r.Float64())
	return path{7500 * time.Microsecond, func(at time.Duration) time.Duration {
		d := exponential(r, 3*ms) + resent(20*ms, func(time.Duration) bool { return r.Float64() < 0.001 })
		switch u := (at + phase) % (40 * time.Second); {
		case u < 5*time.Second:
			d += times(800*ms, u.Seconds()/5)
		case u < 8*time.Second:
			d += times(800*ms, 1-(u.Seconds()-5)/3)
		}
		return d
	}}
}

// drift becomes slower by 140 ms in the course of the run.
func drift(r *rand.Rand) path {
	return path{5 * ms, func(at time.Duration) time.Duration {
		return times(140*ms, min(1, at.Seconds()/runFor.Seconds())) + exponential(r, 2*ms)
	}}
}

// regime is quiet, and noisy for ten seconds in each forty.
func regime(r *rand.Rand) path {
	phase := times(40*time.Second, r.Float64())
	return path{ms, func(at time.Duration) time.Duration {
		if (at+phase)%(40*time.Second) < 10*time.Second {
			return exponential(r, 60*ms)
		}
		return exponential(r, ms/2)
	}}
}

// stalls is a busy host, late by tens of milliseconds now and then, and rarely by a second.
func stalls(r *rand.Rand) path {
	return path{20 * ms, func(time.Duration) time.Duration {
		d := exponential(r, 2*ms) + exponential(r, 2*ms) + resent(44*ms, func(time.Duration) bool { return r.Float64() < 0.002 })
		switch u := r.Float64(); {
		case u < 1e-5:
			d += time.Second + exponential(r, 100*ms)
		case u < 0.01:
			d += exponential(r, 20*ms)
		}
		return d
	}}
}
