package main

import (
	"math"
	"time"

	"resilientrpc/balancer"
)

// An experiment runs one contender with one seed and returns its metrics.
type experiment struct {
	name      string
	title     string
	metrics   []string
	run       func(c contender, seed uint64) []float64
	published map[string][]float64 // by contender; NaN where nothing was
	// calibrates says that a difference from what was published is an error of
	// the simulation.
	calibrates bool
	// contenders are those that take part; nil means all.
	contenders []contender
}

const (
	rr   = "grpc-go round_robin"
	ll   = "Finagle P2C least loaded*"
	peak = "Finagle Peak EWMA*"
)

var none = math.NaN()

var experiments = []experiment{
	{
		name:       "A",
		title:      "Linkerd 2016: 11 servers of 167±5 ms, 1000 calls/s, 60 s; one takes 2 s from second 15 to 45; success within 1 s",
		metrics:    []string{"success %", "p95 ms", "p99 ms", "p99.9 ms"},
		run:        linkerd2016,
		published:  map[string][]float64{rr: {95}, ll: {99}, peak: {99.9}},
		calibrates: true,
	},
	{
		name:    "B",
		title:   "tower#76: 50,000 calls by 50 workers; latency uniform up to 1, 4×10, 4×100, 1000 ms",
		metrics: []string{"p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms"},
		run:     tower76,
		published: map[string][]float64{
			rr: {9, 98, 496, 906, 988}, ll: {5, 57, 80, 98, 857}, peak: {5, 56, 78, 96, 105},
		},
		calibrates: true,
	},
	{
		name:      "C",
		title:     "brpc#3340: 4 servers, 4000 calls/s, slow is +5 ms; p99 with none, one and two slow",
		metrics:   []string{"none ms", "one ms", "two ms", "two/none"},
		run:       brpc3340,
		published: map[string][]float64{rr: {.539, 6.474, 7.696}, ll: {.387, .337, 7.676}},
	},
	{
		name:    "D",
		title:   "After Prequal (NSDI 2024): 100 clients, 100 servers whose speed changes, load 0.9, deadline 5 s (machines are a model)",
		metrics: []string{"p50 ms", "p90 ms", "p99 ms", "success %"},
		run:     testbed,
		published: map[string][]float64{
			rr: {none, 5000, 5000}, ll: {none, 940, 2654},
			"Prequal*": {none, 152, 286}, "C3's score*": {none, 164, 304}, "WRR (published)": {none, 1667, 5000},
		},
	},
	{
		name:    "hole 11",
		title:   "Black hole: 1 of 11 (exp 10 ms, 2000 calls/s) fails in 0.2 ms from second 10 to 60; success by its share of failures",
		metrics: []string{"100 %", "45 %", "20 %"},
		run:     blackHole(11, 2000, 60*time.Second),
	},
	{
		name:    "hole 3",
		title:   "Black hole: 1 of 3, 500 calls/s, from second 10 to 30, the same otherwise",
		metrics: []string{"100 %", "45 %", "20 %"},
		run:     blackHole(3, 500, 30*time.Second),
	},
	{
		name:    "hang",
		title:   "Hang: 1 of 11 (exp 10 ms) answers nothing from second 10 to 60, 64 workers, timeout 30 s; calls/s before and after",
		metrics: []string{"before", "after", "after/before %"},
		run:     hang,
	},
	{
		name:    "errors",
		title:   "Uniform errors: all of 11 (exp 10 ms, 2000 calls/s) fail some calls in 0.2 ms, one is 3 times slower; p99 and share of the slow one",
		metrics: []string{"2 %: p99 ms", "slow share %", "10 %: p99 ms", "slow share %", "30 %: p99 ms", "slow share %"},
		run:     uniformErrors,
	},
	{
		name:    "healthy",
		title:   "Healthy: 11 servers (exp 10 ms), 1000 calls/s, 30 s; most calls of any server to least",
		metrics: []string{"max/min", "p99 ms"},
		run:     healthy,
	},
	{
		name:       "phi",
		title:      "Suspicion: 3 servers (exp 10 ms), 5 calls/s, timeout 10 s, 5 min, pings in slots of 100 ms; calls above 1 s (for pauses and health 0.1 s)",
		metrics:    []string{"one hangs %", "two hang, one pauses %", "all pause %", "none %"},
		run:        suspicion,
		contenders: suspicious,
	},
}

// suspicious are ours with more and more of what a failure detector can tell.
var suspicious = []contender{
	{"ours without detector", func(n int, seed uint64) picker {
		return &watched{ours: newOurs(n, balancer.Config{Seed: seed})}
	}},
	{"with verdict only", func(n int, seed uint64) picker {
		return &watched{ours: newOurs(n, balancer.Config{Seed: seed}), verdict: true}
	}},
	{"with verdict and level", func(n int, seed uint64) picker {
		return &watched{ours: newOurs(n, balancer.Config{Seed: seed}), verdict: true, graded: true}
	}},
}

func linkerd2016(c contender, seed uint64) []float64 {
	w := newWorld(seed, 11)
	w.timeout = time.Second
	for i := range w.servers {
		w.servers[i].serve = func(w *world, _ *call) time.Duration {
			if i == 3 && w.now >= 15*time.Second && w.now < 45*time.Second {
				return 2 * time.Second
			}
			return time.Duration(167e6 + 5e6*w.rng.NormFloat64())
		}
	}
	w.open(c.make(11, seed), 1000, 60*time.Second)
	w.run(-1)
	r := &w.result
	return []float64{r.success(), r.quantile(.95), r.quantile(.99), r.quantile(.999)}
}

func tower76(c contender, seed uint64) []float64 {
	w := newWorld(seed, 10)
	for i, most := range []int64{1, 10, 10, 10, 10, 100, 100, 100, 100, 1000} {
		w.servers[i].serve = func(w *world, _ *call) time.Duration {
			return time.Duration(w.rng.Int64N(most * int64(time.Millisecond)))
		}
	}
	w.closed(c.make(10, seed), 50, 50_000)
	w.run(-1)
	r := &w.result
	return []float64{r.quantile(.5), r.quantile(.9), r.quantile(.95), r.quantile(.99), r.quantile(.999)}
}

func brpc3340(c contender, seed uint64) []float64 {
	var p99 [3]float64
	for slow := range p99 {
		w := newWorld(seed, 4)
		for i := range w.servers {
			w.servers[i].serve = func(w *world, _ *call) time.Duration {
				took := 200*time.Microsecond + w.exp(50*time.Microsecond)
				if i < slow {
					took += 5 * time.Millisecond
				}
				return took
			}
		}
		w.open(c.make(4, seed), 4000, 15*time.Second)
		w.run(-1)
		p99[slow] = w.result.quantile(.99)
	}
	return []float64{p99[0], p99[1], p99[2], p99[2] / p99[0]}
}

// testbed has 100 clients call 100 servers whose neighbors on the machine leave
// them three quarters of the time a fifth more and else two fifths less than
// what they are entitled to, for 5 s on average. The work of a call is normal
// with a standard deviation as large as its mean, and positive.
func testbed(c contender, seed uint64) []float64 {
	const n, workers, work = 100, 4, 62 * time.Millisecond // 80 ms is the mean of the positive part
	w := newWorld(seed, n)
	w.timeout = 5 * time.Second
	end := 35 * time.Second
	for i := range w.servers {
		s := &w.servers[i]
		s.workers, s.backlog = workers, math.MaxInt
		s.serve = func(w *world, _ *call) time.Duration {
			for {
				if x := 1 + w.rng.NormFloat64(); x > 0 {
					return time.Duration(x * float64(work))
				}
			}
		}
		var shift func()
		shift = func() {
			s.slow = 1 / 1.2
			if w.rng.Float64() < .25 {
				s.slow = 1 / .6
			}
			if next := w.now + w.exp(5*time.Second); next < end {
				w.at(next, shift)
			}
		}
		shift()
	}
	for i := range n {
		w.open(c.make(n, seed*1000+uint64(i)), 0.9*workers/0.08, end)
	}
	w.result.from = 5 * time.Second
	w.run(-1)
	r := &w.result
	return []float64{r.quantile(.5), r.quantile(.9), r.quantile(.99), r.success()}
}

func exponential(mean time.Duration) func(*world, *call) time.Duration {
	return func(_ *world, c *call) time.Duration { return time.Duration(c.work * float64(mean)) }
}

func blackHole(n int, perSecond float64, end time.Duration) func(contender, uint64) []float64 {
	return func(c contender, seed uint64) []float64 {
		var success []float64
		for _, chance := range []float64{1, .45, .2} {
			w := newWorld(seed, n)
			for i := range w.servers {
				w.servers[i].serve = exponential(10 * time.Millisecond)
			}
			w.at(10*time.Second, func() { w.servers[0].fails = chance })
			w.open(c.make(n, seed), perSecond, end)
			w.run(-1)
			success = append(success, w.result.success())
		}
		return success
	}
}

func hang(c contender, seed uint64) []float64 {
	w := newWorld(seed, 11)
	w.timeout = 30 * time.Second
	for i := range w.servers {
		w.servers[i].serve = exponential(10 * time.Millisecond)
	}
	w.closed(c.make(11, seed), 64, math.MaxInt)
	w.run(10 * time.Second)
	before := float64(w.result.good)
	w.servers[0].pause(time.Hour)
	w.run(60 * time.Second)
	after := (float64(w.result.good) - before) / 50
	before /= 10
	return []float64{before, after, 100 * after / before}
}

func uniformErrors(c contender, seed uint64) []float64 {
	var got []float64
	for _, share := range []float64{.02, .1, .3} {
		w := newWorld(seed, 11)
		for i := range w.servers {
			s := &w.servers[i]
			s.serve, s.fails = exponential(10*time.Millisecond), share
		}
		w.servers[0].slow = 3
		w.open(c.make(11, seed), 2000, 15*time.Second)
		w.run(-1)
		r := &w.result
		got = append(got, r.quantile(.99), 100*float64(r.picks[0])/float64(len(r.took)))
	}
	return got
}

func healthy(c contender, seed uint64) []float64 {
	w := newWorld(seed, 11)
	for i := range w.servers {
		w.servers[i].serve = exponential(10 * time.Millisecond)
	}
	w.open(c.make(11, seed), 1000, 30*time.Second)
	w.run(-1)
	low, high := math.MaxInt, 0
	for _, n := range w.result.picks {
		low, high = min(low, n), max(high, n)
	}
	return []float64{float64(high) / float64(low), w.result.quantile(.99)}
}

// suspicion is traffic so light that a server's last call does not tell how it is
// now, and pings do.
func suspicion(c contender, seed uint64) []float64 {
	const end = 5 * time.Minute
	late := func(limit time.Duration, faults ...func(s *server, end time.Duration)) float64 {
		w := newWorld(seed, 3)
		w.timeout = 10 * time.Second
		for i := range w.servers {
			w.servers[i].serve = exponential(10 * time.Millisecond)
		}
		p := c.make(len(w.servers), seed).(*watched)
		p.watch(w, 100*time.Millisecond, end)
		for i, fault := range faults {
			fault(&w.servers[i], end)
		}
		w.open(p, 5, end)
		w.run(-1)
		return 100 * w.result.above(limit)
	}
	return []float64{
		late(time.Second, hangs), late(time.Second, hangs, hangs, pauses),
		late(100*time.Millisecond, pauses, pauses, pauses), late(100 * time.Millisecond),
	}
}

// hangs stops a server for half of the time.
func hangs(s *server, end time.Duration) {
	for at := 10*time.Second + time.Duration(s.index)*time.Second; at < end; at += 40 * time.Second {
		s.world.at(at, func() { s.pause(20 * time.Second) })
	}
}

// pauses stops it now and then, for a short time.
func pauses(s *server, end time.Duration) {
	w := s.world
	for at := w.exp(4 * time.Second); at < end; at += time.Second + w.exp(3*time.Second) {
		took := time.Duration(300+w.rng.Int64N(400)) * time.Millisecond
		w.at(at, func() { s.pause(took) })
	}
}
