package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// The question of granularity: one breaker for an endpoint, or one for each
// method of it? An endpoint has ten methods; for a minute some of them do not
// answer.
const (
	methods   = 10
	faultFrom = 30 * time.Second
	faultTo   = 90 * time.Second
	faultEnd  = 180 * time.Second
)

// A fault is which methods fail, and how the traffic is spread.
type fault struct {
	name    string
	failing int     // methods 0 to failing-1
	hot     float64 // share of method 0; the rest is spread evenly
}

var faults = []fault{
	{"one of ten methods fails", 1, 0.1},
	{"a method with 40 % of calls fails", 1, 0.4},
	{"a method with 60 % of calls fails", 1, 0.6},
	{"all fail", methods, 0.1},
}

// A harm is what a fault has cost.
type harm struct {
	healthy  float64 // percent of the calls of healthy methods that were served
	vain     float64 // calls a minute sent to failing methods
	recovery float64 // seconds until a call of each failing method has been served again
}

// A service is an endpoint under a fault, behind one gate or one a method.
type service struct {
	*lab
	fault
	rng   *rand.Rand
	gates [methods]gate
	mean  time.Duration // between calls

	healthy, served, vain float64
	back                  [methods]time.Duration
}

func (s *service) failingNow(method int) bool {
	return method < s.failing && s.now() >= faultFrom && s.now() < faultTo
}

// method picks the method of a call.
func (s *service) method() int {
	if s.rng.Float64() < s.hot {
		return 0
	}
	return 1 + s.rng.IntN(methods-1)
}

func (s *service) arrive() {
	s.after(time.Duration(s.rng.ExpFloat64()*float64(s.mean)), func() {
		s.call(s.method())
		s.arrive()
	})
}

func (s *service) call(method int) {
	during := s.now() >= faultFrom && s.now() < faultTo
	if during && method >= s.failing {
		s.healthy++
	}
	done, admitted := s.gates[method]()
	switch {
	case !admitted:
	case s.failingNow(method):
		s.vain++
		s.after(attemptTimeout, func() { done(missed) })
	default:
		if during {
			s.served++
		}
		if s.back[method] == 0 && s.now() >= faultTo {
			s.back[method] = s.now() - faultTo
		}
		s.after(10*time.Millisecond, func() { done(answered) })
	}
}

// suffer plays a fault once, with one breaker or one a method.
func suffer(t *testing.T, f fault, perMethod bool, rate int, seed uint64) (h harm) {
	synctest.Test(t, func(*testing.T) {
		s := &service{lab: newLab(), fault: f, rng: rand.New(rand.NewPCG(seed, 0)), mean: time.Second / time.Duration(rate)}
		for i := range s.gates {
			if i > 0 && !perMethod {
				s.gates[i] = s.gates[0]
				continue
			}
			s.gates[i] = ourDefault(rand.New(rand.NewPCG(seed, uint64(i)+1)))
		}
		s.arrive()
		s.run(faultEnd)
		h.healthy = 100
		if s.healthy > 0 {
			h.healthy = 100 * s.served / s.healthy
		}
		h.vain = s.vain
		for i := range s.failing {
			h.recovery = max(h.recovery, s.back[i].Seconds())
		}
	})
	return h
}

func printGranularity(t *testing.T, w io.Writer, seeds int) {
	fmt.Fprintf(w, "ours; a fault of %v; mean of %d seeds ± 95 %% interval\n", faultTo-faultFrom, seeds)
	fmt.Fprintf(w, "%-35s %8s %-13s %18s %18s %18s\n", "", "calls/s", "one breaker a", "healthy served, %", "sent in vain", "seconds to return")
	for _, f := range faults {
		for _, rate := range []int{100, 5} {
			for _, perMethod := range []bool{false, true} {
				var healthy, vain, recovery sample
				for seed := range seeds {
					h := suffer(t, f, perMethod, rate, uint64(seed))
					healthy.add(h.healthy)
					vain.add(h.vain)
					recovery.add(h.recovery)
				}
				scope := "endpoint"
				if perMethod {
					scope = "method"
				}
				fmt.Fprintf(w, "%-35s %8d %-13s %18s %18s %18s\n", f.name, rate, scope, healthy, vain, recovery)
			}
		}
	}
}
