package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The pickers of this file are ports, like those of ports.go. They use the load that servers
// report.

// A bound picker sees the world, as far as servers would tell it.
type bound interface{ bind(w *world) }

// load is how many calls are in a server.
func (s *server) load() int { return len(s.serving) + len(s.queue) }

// prequal after Wydrowski and others, "Load is not what you should balance: Introducing
// Prequal" (NSDI 2024). Asynchronous probes return a server's calls in flight, and the recent
// latency of calls at that load. A server is hot if its calls in flight are in the upper
// quantile. The fastest server that is not hot is picked, or else the least loaded. The
// parameters are those of the paper's testbed. Its rule for servers that fail fast is left
// out.
type prequal struct {
	rng   *rand.Rand
	n     int
	w     *world
	pool  []probe
	seen  []int // calls in flight recently, for the quantile
	worst bool  // whether the next removal takes the worst probe, not the oldest
}

// A probe is the answer of a server.
type probe struct {
	server   int
	inflight int
	latency  time.Duration
	at       time.Duration
	uses     int
}

const (
	prequalProbes   = 3
	prequalPool     = 16
	prequalAge      = time.Second
	prequalQuantile = .84
	prequalTrip     = time.Millisecond
	prequalLevels   = 64 // of calls in flight; more count as the last
	prequalMemory   = 16 // calls of each level
	prequalMedian   = 9  // calls that the estimate is made of
)

func (p *prequal) bind(w *world) {
	p.w = w
	if w.met == nil {
		w.met = make([][prequalLevels][]time.Duration, len(w.servers))
	}
}

func (p *prequal) pick(c *call, now time.Duration) { p.choose(c, now, p.best) }

// choose takes the best of the pool and sends probes for later calls.
func (p *prequal) choose(c *call, now time.Duration, best func() int) {
	p.pool = slices.DeleteFunc(p.pool, func(x probe) bool { return now-x.at > prequalAge || x.uses <= 0 })
	if len(p.pool) < 2 {
		c.server = p.rng.IntN(p.n)
	} else {
		x := &p.pool[best()]
		c.server = x.server
		x.uses--
		x.inflight++
		p.remove()
	}
	c.met = p.w.servers[c.server].load()
	for range prequalProbes {
		server := p.rng.IntN(p.n)
		p.w.at(now+prequalTrip, func() { p.answer(server) })
	}
}

func (p *prequal) best() int {
	hot := p.hot()
	best := 0
	for i, x := range p.pool {
		b := p.pool[best]
		switch cold, bestCold := x.inflight < hot, b.inflight < hot; {
		case cold != bestCold:
			if cold {
				best = i
			}
		case cold && x.latency < b.latency, !cold && x.inflight < b.inflight:
			best = i
		}
	}
	return best
}

// hot is the calls in flight from which on a server is.
func (p *prequal) hot() int {
	sorted := slices.Sorted(slices.Values(p.seen))
	return max(sorted[int(prequalQuantile*float64(len(sorted)))], 1)
}

// remove takes the oldest probe from the pool, or the one with the most in flight.
func (p *prequal) remove() {
	victim := 0
	if p.worst {
		for i, x := range p.pool {
			if x.inflight > p.pool[victim].inflight {
				victim = i
			}
		}
	}
	p.worst = !p.worst
	p.pool = slices.Delete(p.pool, victim, victim+1)
}

// answer is a probe's. It may be used so often that the pool lasts.
func (p *prequal) answer(server int) {
	load := p.w.servers[server].load()
	reuse := max(1, 2/((1-float64(prequalPool)/float64(p.n))*prequalProbes-1))
	if p.n <= prequalPool {
		reuse = 2
	}
	uses := int(reuse)
	if p.rng.Float64() < reuse-math.Floor(reuse) {
		uses++
	}
	if len(p.pool) == prequalPool {
		p.pool = slices.Delete(p.pool, 0, 1)
	}
	p.pool = append(p.pool, probe{server, load, p.usual(server, load), p.w.now, uses})
	p.seen = append(p.seen, load)
	if len(p.seen) > 128 {
		p.seen = p.seen[1:]
	}
}

// usual is the median time of the last calls that met about as many others.
func (p *prequal) usual(server, load int) time.Duration {
	var met []time.Duration
	for d := 0; d < prequalLevels && len(met) < prequalMedian; d++ {
		if load-d >= 0 {
			met = append(met, p.w.met[server][min(load-d, prequalLevels-1)]...)
		}
		if d > 0 && load+d < prequalLevels {
			met = append(met, p.w.met[server][load+d]...)
		}
	}
	if len(met) == 0 {
		return 0
	}
	slices.Sort(met)
	return met[len(met)/2]
}

func (p *prequal) done(c *call, now time.Duration) {
	met := &p.w.met[c.server][min(c.met, prequalLevels-1)]
	*met = append(*met, now-c.start)
	*met = (*met)[max(len(*met)-prequalMemory, 0):]
}

// c3 picks by the score of simulations/client.py of lalithsuresh/absim, the
// simulator of Suresh and others, "C3: Cutting tail latency in cloud data stores
// via adaptive replica selection" (NSDI 2015): the least (1 + own calls × clients
// + server's queue)³ × its time of service. It chooses among Prequal's probes.
// What answers tell, as in C3 itself, is too old when a client calls a server
// every few seconds; its groups of three and its control of the rate are left out.
type c3 struct {
	prequal
	own     []float64
	service []float64 // nanoseconds
}

func (p *c3) pick(c *call, now time.Duration) {
	p.choose(c, now, p.best)
	p.own[c.server]++
}

func (p *c3) best() int {
	best, least := 0, math.Inf(1)
	for i, x := range p.pool {
		q := 1 + p.own[x.server]*float64(len(p.w.clients)) + float64(x.inflight)
		if cost := q * q * q * p.service[x.server]; cost < least {
			best, least = i, cost
		}
	}
	return best
}

// done averages the service time. The last call has a weight of 0.9.
func (p *c3) done(c *call, now time.Duration) {
	p.own[c.server]--
	p.prequal.done(c, now)
	if took := float64(now - c.began); c.outcome == succeeded {
		if p.service[c.server] == 0 {
			p.service[c.server] = took
		}
		p.service[c.server] = .9*took + .1*p.service[c.server]
	}
}
