package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The pickers of this file are ports: the rules of other projects, reduced to
// what a simulation needs. They are not the projects' own code; each names the
// file that it was written after.

// nodeState is what a port knows about a server.
type nodeState struct {
	inflight float64
	cost     float64 // average latency in nanoseconds
	stamp    time.Duration
	success  float64
	picked   time.Duration
	calls    []*call // in flight; kratos only
}

// two returns two different servers of n.
func two(rng *rand.Rand, n int) (a, b int) {
	a = rng.IntN(n)
	if n == 1 {
		return a, a
	}
	if b = rng.IntN(n - 1); b >= a {
		b++
	}
	return a, b
}

// roundRobin takes turns, from a random one on.
type roundRobin struct{ next, n int }

func (p *roundRobin) pick(c *call, _ time.Duration) {
	p.next = (p.next + 1) % p.n
	c.server = p.next
}

func (p *roundRobin) done(*call, time.Duration) {}

// leastLoaded is the better of two different servers by calls in flight:
// finagle-core/.../loadbalancer/p2c/P2CLeastLoaded.scala.
type leastLoaded struct {
	rng   *rand.Rand
	nodes []nodeState
}

func (p *leastLoaded) pick(c *call, _ time.Duration) {
	a, b := two(p.rng, len(p.nodes))
	if p.nodes[b].inflight < p.nodes[a].inflight {
		a = b
	}
	p.nodes[a].inflight++
	c.server = a
}

func (p *leastLoaded) done(c *call, _ time.Duration) { p.nodes[c.server].inflight-- }

// peakEWMA is the better of two different servers by latency times calls in
// flight: finagle-core/.../loadbalancer/PeakEwma.scala, with its default of 10 s.
// With a penalty it is linkerd2-proxy's, after
// linkerd/proxy/balance: an estimate of 30 ms for a new server, and a failed
// call counts as one of at least 5 s.
type peakEWMA struct {
	rng      *rand.Rand
	nodes    []nodeState
	penalty  time.Duration // what a failed call counts for at least
	readOnly bool          // whether reading leaves the estimate as it is
}

const ewmaTau = 10 * time.Second

func (p *peakEWMA) load(i int, now time.Duration) float64 {
	n := &p.nodes[i]
	cost := n.cost * math.Exp(-float64(now-n.stamp)/float64(ewmaTau))
	if !p.readOnly {
		n.cost, n.stamp = cost, now
	}
	if cost == 0 && n.inflight > 0 {
		return math.MaxInt32 * 1e6 * (n.inflight + 1)
	}
	return cost * (n.inflight + 1)
}

func (p *peakEWMA) pick(c *call, now time.Duration) {
	a, b := two(p.rng, len(p.nodes))
	if p.load(b, now) < p.load(a, now) {
		a = b
	}
	p.nodes[a].inflight++
	c.server = a
}

func (p *peakEWMA) done(c *call, now time.Duration) {
	n := &p.nodes[c.server]
	n.inflight--
	took := now - c.start
	if c.outcome != succeeded {
		took = max(took, p.penalty)
	}
	rtt := float64(took)
	if rtt > n.cost {
		n.cost = rtt
	} else {
		keep := math.Exp(-float64(now-n.stamp) / float64(ewmaTau))
		n.cost = n.cost*keep + rtt*(1-keep)
	}
	n.stamp = now
}

// goZero: zrpc/internal/balancer/p2c/p2c.go of zeromicro/go-zero.
type goZero struct {
	rng   *rand.Rand
	nodes []nodeState
}

const (
	goZeroForcePick = time.Second
	goZeroThrottle  = 500
)

func (p *goZero) load(i int) float64 {
	n := &p.nodes[i]
	load := math.Sqrt(n.cost+1) * (n.inflight + 1)
	if load == 0 {
		return math.MaxInt32
	}
	return load
}

func (p *goZero) pick(c *call, now time.Duration) {
	a, b := 0, 0
	for range 3 {
		a, b = two(p.rng, len(p.nodes))
		if p.nodes[a].success > goZeroThrottle && p.nodes[b].success > goZeroThrottle {
			break
		}
	}
	if p.load(a) > p.load(b) {
		a, b = b, a
	}
	if now-p.nodes[b].picked > goZeroForcePick {
		a = b
	}
	p.nodes[a].picked = now
	p.nodes[a].inflight++
	c.server = a
}

func (p *goZero) done(c *call, now time.Duration) {
	n := &p.nodes[c.server]
	n.inflight--
	n.learn(c, now, 10*time.Second)
}

// learn averages latency and success over tau, as go-zero and kratos do.
func (n *nodeState) learn(c *call, now, tau time.Duration) {
	keep := math.Exp(-float64(now-n.stamp) / float64(tau))
	n.stamp = now
	success := 0.0
	if c.outcome == succeeded {
		success = 1000
	}
	n.success = n.success*keep + success*(1-keep)
	if n.cost == 0 {
		keep = 0
	}
	n.cost = n.cost*keep + float64(now-c.start)*(1-keep)
}

// kratos: selector/p2c/selector.go and selector/node/ewma/node.go of
// go-kratos/kratos, without the cache of 5 ms for its forecast.
type kratos struct {
	rng   *rand.Rand
	nodes []nodeState
}

const (
	kratosForcePick = 3 * time.Second
	kratosTau       = 600 * time.Millisecond
	kratosUnknown   = 100_000 // load of a server without calls, for each in flight
)

func (p *kratos) weight(i int, now time.Duration) float64 {
	n := &p.nodes[i]
	if n.cost == 0 {
		return n.success / (kratosUnknown * (n.inflight + 1))
	}
	cost := max(n.cost, n.forecast(now)) + float64(5*time.Millisecond)
	return n.success / (math.Sqrt(cost) * (n.inflight + 1))
}

// forecast is the mean age of the calls in flight that have taken longer than
// the average, if they are most of them.
func (n *nodeState) forecast(now time.Duration) float64 {
	count, total := 0, time.Duration(0)
	for _, c := range n.calls {
		if age := now - c.start; float64(age) > n.cost {
			count++
			total += age
		}
	}
	if count >= len(n.calls)/2+1 {
		return float64(total) / float64(count)
	}
	return 0
}

func (p *kratos) pick(c *call, now time.Duration) {
	a, b := two(p.rng, len(p.nodes))
	if p.weight(b, now) > p.weight(a, now) {
		a, b = b, a
	}
	if now-p.nodes[b].picked > kratosForcePick {
		a = b
	}
	n := &p.nodes[a]
	n.picked = now
	n.inflight++
	n.calls = append(n.calls, c)
	c.server = a
}

func (p *kratos) done(c *call, now time.Duration) {
	n := &p.nodes[c.server]
	n.inflight--
	i := slices.Index(n.calls, c)
	n.calls = slices.Delete(n.calls, i, i+1)
	n.learn(c, now, kratosTau)
}
