package main

import (
	"sync"
	"time"

	"resilientrpc/rpcx"
)

// A fate is what a client believes became of one deposit.
type fate uint8

const (
	succeeded fate = iota
	surelyNot      // failed, and certainly not executed
	maybeDone      // failed, executed or not
)

// A deposit is what a client knows of one.
type deposit struct {
	fate fate
	left time.Time // when the caller was told of a failure, or gave it up as hung
}

// A tally is the result of one client's calls. All methods may be called
// concurrently.
type tally struct {
	bound time.Duration // a call that takes longer counts as hung

	mu         sync.Mutex // protects following
	closed     bool       // settled: what comes later is not counted
	open       int        // begun and not finished
	calls      int        // finished, and hung ones that never did
	idemFailed int        // idempotent calls that failed
	onceFailed [3]int     // non-idempotent ones, by fate
	hung       int
	wrong      int // replies with a wrong value
	sample     error
	times      histogram
	deposits   map[string]deposit
	returns    map[string]*comeback
}

// A comeback is a replica's return: since when it is back, and when the first
// call that started later was answered by it.
type comeback struct{ since, first time.Time }

func newTally(bound time.Duration) *tally {
	return &tally{
		bound:    bound,
		deposits: make(map[string]deposit),
		returns:  make(map[string]*comeback),
	}
}

// A result is one finished call.
type result struct {
	start, end time.Time
	id         string // of a deposit, "" for arithmetic
	replica    string // that answered
	wrong      bool   // the reply does not fit the question
	err        error
}

// begin notes a call that is about to be made; id is that of a deposit. Until
// it has finished, a deposit may be done or not.
func (t *tally) begin(id string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	if id != "" {
		t.deposits[id] = deposit{maybeDone, now.Add(t.bound)}
	}
}

// record notes the end of a call that has begun.
func (t *tally) record(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.open--
	took := r.end.Sub(r.start)
	t.calls++
	t.times.add(took)
	hung := took > t.bound
	if hung {
		t.hung++
	}
	if r.id != "" {
		left := r.start.Add(t.bound)
		if r.err != nil && r.end.Before(left) {
			left = r.end
		}
		t.deposits[r.id] = deposit{fateOf(r.err), left}
	}
	switch {
	case r.err != nil && !hung: // one that hung is not counted twice
		t.fail(r)
	case r.err == nil:
		t.answer(r)
	}
}

// settle ends the counting: a call that has not finished by now has hung.
func (t *tally) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += t.open
	t.hung += t.open
	t.open, t.closed = 0, true
}

func (t *tally) fail(r result) {
	t.sample = r.err
	if r.id == "" {
		t.idemFailed++
	} else {
		t.onceFailed[fateOf(r.err)]++
	}
}

func (t *tally) answer(r result) {
	if r.wrong {
		t.wrong++
	}
	c := t.returns[r.replica]
	if c != nil && c.first.IsZero() && r.start.After(c.since) {
		c.first = r.end
	}
}

func fateOf(err error) fate {
	switch {
	case err == nil:
		return succeeded
	case sentOf(err) == rpcx.NotSent:
		return surelyNot
	}
	return maybeDone
}

// expect notes that a replica is back since now.
func (t *tally) expect(replica string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.returns[replica] = &comeback{since: now}
}

// returned says how long a replica was back before it was used again.
func (t *tally) returned(replica string) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.returns[replica]
	if c == nil || c.first.IsZero() {
		return 0, false
	}
	return c.first.Sub(c.since), true
}

// progress counts the calls so far, those that failed, and those that wait.
func (t *tally) progress() (calls, failed, open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls, t.idemFailed + t.onceFailed[surelyNot] + t.onceFailed[maybeDone], t.open
}

// report sums up.
func (t *tally) report() *report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &report{
		bound: t.bound, calls: t.calls, idemFailed: t.idemFailed, onceFailed: t.onceFailed,
		hung: t.hung, wrong: t.wrong, sample: t.sample,
		p50: t.times.quantile(0.5), p99: t.times.quantile(0.99), max: t.times.longest,
	}
}

// An audit compares a client's beliefs with the servers' journals.
type audit struct {
	duplicates int // executions beyond the first of one call
	lost       int // reported as done, never executed
	ghosts     int // reported as not sent, yet executed
	forNobody  int // executions that began after the caller had left
}

// check audits the deposits against the times of their executions, by call id.
func (t *tally) check(runs map[string][]time.Time) audit {
	t.mu.Lock()
	defer t.mu.Unlock()
	var a audit
	for id, d := range t.deposits {
		n := len(runs[id])
		a.duplicates += max(0, n-1)
		switch {
		case d.fate == succeeded && n == 0:
			a.lost++
		case d.fate == surelyNot && n > 0:
			a.ghosts++
		}
		for _, at := range runs[id] {
			if at.After(d.left) {
				a.forNobody++
			}
		}
	}
	return a
}
