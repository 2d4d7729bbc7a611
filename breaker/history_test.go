package breaker_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// An action is one call of a method in a concurrent history: its arguments, its result, and
// its times by a clock that all goroutines share.
type action struct {
	kind       actionKind
	outcome    breaker.Outcome // done
	got        any
	began, end int64
}

type actionKind int

const (
	allow actionKind = iota
	done             // of the goroutine's last permit
	trip
	reset
	observe
)

// A historian lets goroutines loose on a breaker and writes down what they do.
type historian struct {
	*rig
	clock   atomic.Int64
	threads [3][]action
}

// perform does a on the breaker. permit is the goroutine's last one.
func (h *historian) perform(a *action, permit *breaker.Permit) {
	a.began = h.clock.Add(1)
	switch a.kind {
	case allow:
		p, err := h.Allow(h.now)
		if err == nil {
			*permit = p
		}
		a.got = err == nil
	case done:
		permit.Done(h.now, a.outcome, nil)
	case trip:
		h.Trip(h.now, time.Second, nil)
	case reset:
		h.Reset(h.now)
	case observe:
		a.got = h.State(h.now)
	}
	a.end = h.clock.Add(1)
}

// A past is one order of the actions that may explain a history so far.
type past struct {
	m       model
	next    [3]int // of each thread
	permits [3]modelPermit
}

// fork copies p so that the copy can go another way.
func (p past) fork() past {
	p.m.log, p.m.path, p.m.times = slices.Clone(p.m.log), slices.Clone(p.m.path), slices.Clone(p.m.times)
	return p
}

// perform does the next action of a thread on the model and reports whether
// the model says the same.
func (p *past) perform(thread int, a action) bool {
	p.next[thread]++
	permit := &p.permits[thread]
	switch a.kind {
	case allow:
		granted, ok := p.m.allow()
		if ok {
			*permit = granted
		}
		return a.got == ok
	case done:
		p.m.done(permit, a.outcome)
	case trip:
		p.m.trip(time.Second)
	case reset:
		p.m.set(breaker.Closed)
	case observe:
		p.m.advance()
		return a.got == p.m.state
	}
	return true
}

// overlaps reports whether two actions ran at the same moment.
func (h *historian) overlaps() bool {
	for _, actions := range h.threads {
		for _, a := range actions {
			if a.end > a.began+1 {
				return true
			}
		}
	}
	return false
}

// explained reports whether some order of the actions, in which none comes
// before one that had ended when it began, makes the sequential model answer as
// the breaker did and leaves it with the same statistics.
func (h *historian) explained(p past, final breaker.Stats) bool {
	firstEnd, left := int64(1<<62), false
	for i, actions := range h.threads {
		if p.next[i] < len(actions) {
			firstEnd, left = min(firstEnd, actions[p.next[i]].end), true
		}
	}
	if !left {
		s := p.m.stats()
		s.ConsecutiveFailures = final.ConsecutiveFailures // races are allowed to cost it one
		return s == final
	}
	for i, actions := range h.threads {
		if p.next[i] == len(actions) || actions[p.next[i]].began > firstEnd {
			continue
		}
		q := p.fork()
		if q.perform(i, actions[p.next[i]]) && h.explained(q, final) {
			return true
		}
	}
	return false
}

// Concurrent histories are linearizable: each can be told as a sequential one.
func TestConcurrentHistoriesHaveASequentialExplanation(t *testing.T) {
	kinds := []actionKind{allow, allow, allow, done, done, done, done, trip, reset, observe, observe}
	overlapping := 0 // how many do depends on the machine, so go on until enough have
	for seed := uint64(0); seed < 10_000 && (seed < 3000 || overlapping < 500); seed++ {
		rng := rand.New(rand.NewPCG(seed, 0))
		cfg := fuzzConfig([]byte{1, 3}[seed%2]) // the rules without runs
		cfg.MaxOpenFor = time.Second
		h := &historian{rig: newRig(t, cfg)}
		start := past{m: model{cfg: cfg}}
		for i := range start.permits {
			start.permits[i].done = true // the zero Permit is inert
		}
		if seed%3 > 0 { // begin half-open
			h.halfOpen()
			start.m.trip(time.Second)
			start.m.now += time.Second
			start.m.advance()
		}
		for i := range h.threads {
			for range 5 {
				a := action{kind: kinds[rng.IntN(len(kinds))], outcome: breaker.Outcome(rng.IntN(3))}
				h.threads[i] = append(h.threads[i], a)
			}
		}
		atOnce(len(h.threads), func(i int) {
			var permit breaker.Permit
			for j := range h.threads[i] {
				h.perform(&h.threads[i][j], &permit)
			}
		})
		final := h.Stats(h.now)
		final.Cause = nil
		require.True(t, h.explained(start, final), "seed %d: %+v, at last %+v", seed, h.threads, final)
		if h.overlaps() {
			overlapping++
		}
	}
}
