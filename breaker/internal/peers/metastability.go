package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The outage: a server that can do 100 calls a second is offered 70 and
// stands still for a while. What the calls of that time leave behind, above all
// their retries, can keep it overloaded long after.
const (
	capacity = 100 // calls per second
	offered  = 70
	attempts = 3

	stallFrom = 20 * time.Second
	storyTail = 100 * time.Second // after the stall
	after     = 30 * time.Second  // goodput is measured this long after the stall
	longest   = 15 * time.Second  // stall

	storyEnd = stallFrom + longest + storyTail
)

// A stall is how long the server stands still, by seed.
type stall struct {
	name   string
	length func(seed uint64) time.Duration
}

// A fixed stall can fall in with a fixed open interval, for better or worse;
// stalls of many lengths cannot.
var stalls = []stall{
	{"10 s", func(uint64) time.Duration { return 10 * time.Second }},
	{"5 to 15 s", func(seed uint64) time.Duration {
		return 5*time.Second + time.Duration(rand.New(rand.NewPCG(seed, 99)).IntN(11))*time.Second
	}},
}

// An outcome is what one run of the story has shown.
type outcome struct {
	goodput  float64 // percent of the calls in the 30 s after the stall that were answered
	recovery float64 // seconds from the stall's end to five seconds with 95 % answered, or unrecovered
	peak     float64 // attempts in the worst second
}

const unrecovered = 90

// A client makes its share of the calls, each with up to three attempts.
type client struct {
	*lab
	*server
	policy
	rng    *rand.Rand
	gate   gate
	budget *budget
	tally  *tally
}

// A tally counts calls by the second in which they began, and attempts.
type tally struct {
	calls, good, attempts [storyEnd / time.Second]float64
}

func second(at time.Duration) int { return int(at / time.Second) }

// arrive makes a call now and plans the next one.
func (c *client) arrive(mean time.Duration) {
	c.after(time.Duration(c.rng.ExpFloat64()*float64(mean)), func() {
		c.tally.calls[second(c.now())]++
		c.budget.earn()
		c.attempt(c.now(), 1)
		c.arrive(mean)
	})
}

// attempt makes the n-th attempt of the call that began at the given time. A
// call that the breaker turns away has failed.
func (c *client) attempt(began time.Duration, n int) {
	done, admitted := c.gate()
	if !admitted {
		return
	}
	c.tally.attempts[second(c.now())]++
	took := c.reply(c.now()) - c.now()
	if took <= attemptTimeout {
		c.after(took, func() {
			done(answered)
			c.tally.good[second(began)]++
		})
		return
	}
	c.after(attemptTimeout, func() {
		done(missed)
		if c.once || n == attempts || !c.budget.spend() {
			return
		}
		backoff := 100 * time.Millisecond << (n - 1)
		c.after(backoff/2+time.Duration(c.rng.Int64N(int64(backoff/2))), func() { c.attempt(began, n+1) })
	})
}

// story plays the outage once.
func story(t *testing.T, p policy, clients int, st stall, seed uint64) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		l, s := newLab(), &server{service: time.Second / capacity}
		over := stallFrom + st.length(seed)
		s.stall.from, s.stall.to = stallFrom, over
		sum := new(tally)
		for i := range clients {
			c := &client{lab: l, server: s, policy: p, tally: sum}
			c.rng = rand.New(rand.NewPCG(seed, uint64(i)))
			c.gate = p.gate(rand.New(rand.NewPCG(seed, uint64(i)+1<<32)))
			if p.budget {
				c.budget = newBudget()
			}
			c.arrive(time.Duration(clients) * time.Second / offered)
		}
		l.run(over + storyTail)
		o = sum.outcome(second(over))
	})
	return o
}

// outcome sums up a run whose stall was over in the given second.
func (t *tally) outcome(over int) outcome {
	calls, good := t.sum(over, second(after))
	o := outcome{goodput: 100 * good / calls, recovery: unrecovered}
	for k := range unrecovered {
		if calls, good := t.sum(over+k, 5); good >= 0.95*calls {
			o.recovery = float64(k)
			break
		}
	}
	o.peak = slices.Max(t.attempts[:])
	return o
}

func (t *tally) sum(from, n int) (calls, good float64) {
	for k := from; k < from+n; k++ {
		calls += t.calls[k]
		good += t.good[k]
	}
	return calls, good
}

// printMetastability plays the outage with every policy.
func printMetastability(t *testing.T, w io.Writer, seeds int) {
	for _, st := range stalls {
		for _, clients := range []int{1, 50} {
			fmt.Fprintf(w, "\nstall of %s, %d client(s); mean of %d seeds ± 95 %% interval; %d s means never\n", st.name, clients, seeds, unrecovered)
			fmt.Fprintf(w, "%-26s %18s %18s %18s\n", "", "goodput in 30 s, %", "seconds to 95 %", "peak attempts/s")
			for _, p := range policies {
				goodput, recovery, peak := play(t, p, clients, st, seeds)
				fmt.Fprintf(w, "%-26s %18s %18s %18s\n", p.name, goodput, recovery, peak)
			}
		}
	}
}

// play plays the outage once for each seed.
func play(t *testing.T, p policy, clients int, st stall, seeds int) (goodput, recovery, peak sample) {
	for seed := range seeds {
		o := story(t, p, clients, st, uint64(seed))
		goodput.add(o.goodput)
		recovery.add(o.recovery)
		peak.add(o.peak)
	}
	return goodput, recovery, peak
}
