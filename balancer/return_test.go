package balancer_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"resilientrpc/balancer"
)

// A comeback says how a node that failed calls for a while is used again.
type comeback struct {
	failed int           // calls that failed while the fault lasted
	first  time.Duration // from the fault's end to the node's first call
	fair   time.Duration // to ten calls for each node of which it has half of its share
}

// comeBack has node 0 of n fail a share of its calls at once, for a while.
func comeBack(t testing.TB, n int, perSecond, share float64, away time.Duration, seed uint64) comeback {
	const before = 20 * time.Second
	c := comeback{first: -1, fair: -1}
	s := newSim(t, n, nil, seed)
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if server == 0 && s.now >= before && s.now < before+away && s.rng.Float64() < share {
			c.failed++
			return 200 * time.Microsecond, balancer.Failure
		}
		return s.exp(10 * ms), balancer.Success
	}
	s.open(perSecond, before+away)
	s.now = before + away
	sums := []int{s.shares[0]}
	var next func()
	next = func() {
		s.call()
		sums = append(sums, s.shares[0])
		k := len(sums) - 1
		if sums[k] > sums[0] && c.first < 0 {
			c.first = s.now - before - away
		}
		if k >= 10*n && sums[k]-sums[k-10*n] >= 5 {
			c.fair = s.now - before - away - time.Duration(float64(10*n)/perSecond*float64(time.Second))
			return
		}
		s.in(time.Duration(s.rng.ExpFloat64()/perSecond*float64(time.Second)), next)
	}
	s.in(0, next)
	s.run(1 << 62)
	return c
}

// A node that failed calls is used again after a quarter of the time, and after a second if
// the client makes many calls. The calls that this costs grow with the logarithm of the time,
// and are then at most one in 2000.
func TestReturn(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{1, .3} {
		for _, n := range []int{3, 11} {
			for _, perSecond := range []float64{1, 20, 200, 2000} {
				for _, seconds := range []float64{1, 5, 20, 60} {
					if share < 1 && seconds == 60 {
						continue // the same as for 20 s, and three times the work
					}
					if brief() && perSecond*(20+seconds) > 4500 {
						continue // these are the calls, with those before the fault
					}
					t.Run(fmt.Sprint(share, " of ", n, " at ", perSecond, " for ", seconds), func(t *testing.T) {
						checkReturn(t, share, n, perSecond, seconds)
					})
				}
			}
		}
	}
}

func checkReturn(t *testing.T, share float64, n int, perSecond, seconds float64) {
	const seeds = 2
	failed, first, fair := 0.0, 0.0, 0.0
	for seed := range uint64(seeds) {
		c := comeBack(t, n, perSecond, share, time.Duration(seconds*float64(time.Second)), seed+1)
		failed += float64(c.failed) / seeds
		first = max(first, c.first.Seconds())
		fair = max(fair, c.fair.Seconds())
	}
	t.Logf("%4.1f calls failed; the first after %5.2f s, half of a fair share after %5.2f s", failed, first, fair)
	// A trial comes by chance among the picks that compare the node: 4 fair shares of a call
	// on average. At a call a second the wait is no more than that.
	chance := 20 * float64(n) / perSecond
	wait := max(min(seconds/4, 15), .6)
	if perSecond >= 2000 {
		wait = min(wait, 1)
	}
	assert.LessOrEqual(t, first, wait+chance)
	assert.LessOrEqual(t, fair, wait+chance+.1)
	trials := min(4, seconds/.6) + max(math.Log(seconds/2.4), 0)/math.Log(1.25)
	assert.LessOrEqual(t, failed, min(trials, 13)+perSecond*seconds/2000+seconds/15+5)
	assert.LessOrEqual(t, failed, max(perSecond*seconds/float64(n)/2, 3)+2, "half of a fair share at most")
}

// While a trial is in flight, the node gets no other call, even if the trial takes long.
func TestOneTrialAtATime(t *testing.T) {
	perSecond := 2000.0
	if brief() {
		perSecond = 1000
	}
	s := newSim(t, 3, nil, 1)
	hangs := false
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		switch {
		case server == 0 && hangs:
			return time.Second, balancer.Failure
		case server == 0 && s.now > time.Second:
			return ms, balancer.Failure
		}
		return 10 * ms, balancer.Success
	}
	s.open(perSecond, 10*time.Second)
	hangs, s.shares[0] = true, 0
	s.open(perSecond, s.now+10*time.Second)
	assert.InDelta(t, 5, s.shares[0], 1, "a second in flight, and a second until the next")
}

// Trials of many failing nodes together cost no more than those of one.
func TestTrialsAreCounted(t *testing.T) {
	const n, bad, perSecond, seconds = 8, 4, 200, 40
	s := newSim(t, n, nil, 1)
	failed := 0
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if server < bad {
			failed++
			return ms, balancer.Failure
		}
		return 10 * ms, balancer.Success
	}
	s.open(perSecond, seconds*time.Second)
	assert.LessOrEqual(t, failed, 50, "without the count, more than 70")
}

// In an overloaded fleet failures are not those of trials: afterwards a node that fails and
// recovers is used again as early as before.
func TestOverloadSpendsNoTrials(t *testing.T) {
	s := newSim(t, 3, nil, 1)
	share, one := .0, false
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if s.rng.Float64() < share || server == 0 && one {
			return ms, balancer.Failure
		}
		return 10 * ms, balancer.Success
	}
	s.open(200, 10*time.Second)
	share = .04
	s.open(200, 40*time.Second)
	share = 0
	s.open(200, 50*time.Second)
	one = true
	s.open(200, 54*time.Second)
	one, s.shares[0] = false, 0
	s.open(200, 56*time.Second)
	assert.Greater(t, s.shares[0], 20)
}

// A later fault is not taken for a part of an earlier one.
func TestSpellEnds(t *testing.T) {
	s := newSim(t, 3, nil, 1)
	bad := false
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if server == 0 && bad {
			return ms, balancer.Failure
		}
		return 10 * ms, balancer.Success
	}
	s.open(200, 10*time.Second)
	bad = true
	s.open(200, 13*time.Second)
	bad = false
	s.open(200, 30*time.Second)
	bad = true
	s.open(200, s.now+100*ms)
	bad, s.shares[0] = false, 0
	s.open(200, s.now+time.Second)
	assert.Greater(t, s.shares[0], 5, "0.6 s, not a quarter of 20 s")
}
