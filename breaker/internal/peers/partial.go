package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// partialPolicies are what partial failure is played with.
var partialPolicies = []policy{
	{name: "gobreaker default", gate: gobreakerTimeout(0)},
	{name: "gobreaker 5s", gate: gobreakerTimeout(5 * time.Second)},
	{name: "failsafe default", gate: failsafeDefault},
	{name: "failsafe 5s", gate: failsafeTuned},
	{name: "ours", gate: ourDefault},
}

var partialRates = []int{1, 5, 20, 40} // percent

// partialFailure makes 100 calls a second. A given percentage of them fails at random. It
// returns the percentages that are served and rejected.
func partialFailure(t *testing.T, p policy, percent int, d time.Duration, seed uint64) (served, away float64) {
	synctest.Test(t, func(*testing.T) {
		rng := rand.New(rand.NewPCG(seed, uint64(percent)))
		g := p.gate(rand.New(rand.NewPCG(seed, 1)))
		calls := 0.0
		for begin := time.Now(); time.Since(begin) < d; time.Sleep(10 * time.Millisecond) {
			calls++
			failing := rng.IntN(100) < percent
			switch done, admitted := g(); {
			case !admitted:
				away++
			case failing:
				done(missed)
			default:
				done(answered)
				served++
			}
		}
		served, away = 100*served/calls, 100*away/calls
	})
	return served, away
}

func printPartial(t *testing.T, w io.Writer, d time.Duration, seeds int) {
	fmt.Fprintf(w, "served, %% of calls (turned away, %%): 100 calls/s for %v, mean of %d seeds ± 95 %% interval\n", d, seeds)
	fmt.Fprintf(w, "%-18s", "failing at random")
	for _, percent := range partialRates {
		fmt.Fprintf(w, " %22s", fmt.Sprintf("%d %%", percent))
	}
	fmt.Fprintln(w)
	for _, p := range partialPolicies {
		fmt.Fprintf(w, "%-18s", p.name)
		for _, percent := range partialRates {
			var served, away sample
			for seed := range seeds {
				s, a := partialFailure(t, p, percent, d, uint64(seed))
				served.add(s)
				away.add(a)
			}
			fmt.Fprintf(w, " %22s", fmt.Sprintf("%v (%.1f)", served, away.mean()))
		}
		fmt.Fprintln(w)
	}
}
