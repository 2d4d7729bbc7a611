package balancer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"resilientrpc/balancer"
)

// After Prequal's testbed (Wydrowski and others, NSDI 2024): 100 clients call 100
// servers with queues at nine tenths of what they can do, while neighbors on the machine
// take more and less of each. A client calls a server twice a second and so knows
// little of it. Over 8 seeds, in internal/sim: p90 and p99 without reports 337 and
// 786 ms, with 190 and 366 ms; Prequal, which probes, 219 and 373 ms.
func TestPrequalTestbed(t *testing.T) {
	t.Parallel()
	lasts := 10 * time.Second
	if brief() {
		lasts = 3 * time.Second
	}
	with := testbed(t, true, lasts)
	assert.Less(t, with.quantile(.99), 420*ms)
	assert.Less(t, with.quantile(.9), 220*ms)
	assert.Equal(t, 100.0, with.success())
	if brief() {
		return
	}
	without := testbed(t, false, lasts)
	assert.InDelta(t, 700, without.quantile(.99).Milliseconds(), 250, "the simulation is calibrated")
	assert.Less(t, with.quantile(.5), without.quantile(.5))
}

// A queued is a server with workers and a queue.
type queued struct {
	sim     *sim
	slow    float64
	running int
	queue   []func()
}

const queuedWorkers = 4

func testbed(t testing.TB, reports bool, end time.Duration) *sim {
	const n = 100
	s := newSim(t, n, nil, 1)
	servers := make([]*queued, n)
	for i := range servers {
		servers[i] = &queued{sim: s}
		servers[i].shift(end)
	}
	for i := range n {
		b := fleetOf(t, n, balancer.Config{Seed: uint64(1000 + i)})
		var next func()
		next = func() {
			testbedCall(s, b, servers, reports)
			if gap := s.exp(80 * ms * 10 / 9 / queuedWorkers); s.now+gap < end {
				s.in(gap, next)
			}
		}
		s.in(s.exp(20*ms), next)
	}
	s.run(1 << 62)
	return s
}

func testbedCall(s *sim, b *balancer.Balancer, servers []*queued, reports bool) {
	ticket, start := pick(s.t, b, at(s.now), balancer.PickInfo{}), s.now
	servers[index(ticket.Node())].call(func(running int) {
		if reports {
			ticket.Node().Report(at(s.now), running)
		}
		ticket.Done(at(s.now), balancer.Success)
		s.took = append(s.took, s.now-start)
		s.ok++
	})
}

// shift gives the server a speed for 5 s on average: a fifth more than what it is
// entitled to in three of four times, and else two fifths less.
func (q *queued) shift(end time.Duration) {
	q.slow = 1 / 1.2
	if q.sim.rng.Float64() < .25 {
		q.slow = 1 / .6
	}
	if gap := q.sim.exp(5 * time.Second); q.sim.now+gap < end {
		q.sim.in(gap, func() { q.shift(end) })
	}
}

// call does 80 ms of work on average: normal with a deviation as large as its mean, and
// positive. It says how many calls the server has at its end, this one included.
func (q *queued) call(done func(running int)) {
	work := 0.0
	for work <= 0 {
		work = 1 + q.sim.rng.NormFloat64()
	}
	serve := func() {
		q.sim.in(time.Duration(work*q.slow*62e6), func() {
			running := q.running + len(q.queue)
			q.running--
			if len(q.queue) > 0 {
				next := q.queue[0]
				q.queue = q.queue[1:]
				q.running++
				defer next()
			}
			done(running)
		})
	}
	if q.running == queuedWorkers {
		q.queue = append(q.queue, serve)
		return
	}
	q.running++
	serve()
}
