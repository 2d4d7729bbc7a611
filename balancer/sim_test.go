package balancer_test

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"resilientrpc/balancer"
)

// A sim runs calls against a balancer in virtual time.
type sim struct {
	t      testing.TB
	b      *balancer.Balancer
	rng    *rand.Rand
	now    time.Duration
	events events
	serial int

	// serve says how long a call to a server takes and how it ends.
	serve func(server int) (time.Duration, balancer.Outcome)
	// after is called when a call ends; it may start others.
	after func()

	took    []time.Duration // latency of each finished call
	ok      int             // calls that ended with Success
	shares  []int           // calls started per server
	pending int
}

func newSim(t testing.TB, servers int, policy balancer.Policy, seed uint64) *sim {
	b := fleetOf(t, servers, balancer.Config{Policy: policy, Seed: seed})
	return &sim{t: t, b: b, rng: rand.New(rand.NewPCG(seed, 1)), shares: make([]int, servers)}
}

// call starts one call now.
func (s *sim) call() {
	ticket := pick(s.t, s.b, at(s.now), balancer.PickInfo{Key: s.rng.Uint64(), HasKey: true})
	server := index(ticket.Node())
	took, outcome := s.serve(server)
	s.shares[server]++
	s.pending++
	s.in(took, func() {
		s.pending--
		ticket.Done(at(s.now), outcome)
		s.took = append(s.took, took)
		if outcome == balancer.Success {
			s.ok++
		}
		if s.after != nil {
			s.after()
		}
	})
}

// open starts calls at a steady rate, with random gaps, for a time.
func (s *sim) open(perSecond float64, until time.Duration) {
	var next func()
	next = func() {
		s.call()
		if gap := time.Duration(s.rng.ExpFloat64() / perSecond * float64(time.Second)); s.now+gap < until {
			s.in(gap, next)
		}
	}
	s.in(0, next)
	s.run(1 << 62)
}

// closed keeps a number of workers calling, one call after the other each.
func (s *sim) closed(workers, calls int, until time.Duration) {
	left := calls
	s.after = func() {
		if left > 0 {
			left--
			s.call()
		}
	}
	for range workers {
		s.after()
	}
	s.run(until)
}

func (s *sim) in(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.events, event{s.now + d, s.serial, do})
}

func (s *sim) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
}

// quantile returns the latency that a share of the calls did not exceed.
func (s *sim) quantile(q float64) time.Duration {
	slices.Sort(s.took)
	return s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]
}

// success returns the percentage of calls that succeeded.
func (s *sim) success() float64 { return 100 * float64(s.ok) / float64(len(s.took)) }

func (s *sim) exp(mean time.Duration) time.Duration {
	return time.Duration(s.rng.ExpFloat64() * float64(mean))
}

type event struct {
	at     time.Duration
	serial int // first come, first served
	do     func()
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e *events) Push(x any) { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}
