package breaker_test

import (
	"slices"
	"time"

	"resilientrpc/breaker"
)

// A model is a breaker as a list of what happened, judged from scratch each
// time. It is sequential, slow, and shares no code with the real one. Its time
// is durations since epoch.
type model struct {
	cfg breaker.Config // every field set
	now time.Duration

	stay    int // number of the stay; permits of others are stale
	state   breaker.State
	start   time.Duration // of the stay
	since   time.Duration // of the state
	openFor time.Duration
	given   bool
	level   int
	trips   uint64
	caused  bool
	log     []modelCall
	run     int
	proven  bool
	granted int // probes granted and not given back
	won     int // probes that succeeded
	lease   time.Duration
	path    []breaker.State
	times   []time.Duration // when each of path was entered
}

type modelCall struct {
	slice        int64
	failed, slow bool
}

type modelPermit struct {
	stay  int
	start time.Duration
	done  bool // first call of Done, stale or not
}

func (m *model) age() time.Duration { return max(0, m.now-m.start) }

// enter begins a stay in s at the given time.
func (m *model) enter(s breaker.State, at time.Duration) {
	at = max(at, m.start)
	if m.proven {
		m.level = 0
	}
	if s != m.state {
		m.since = at
		m.path, m.times = append(m.path, s), append(m.times, at)
	}
	m.stay++
	m.state, m.start = s, at
	m.log, m.run, m.proven = nil, 0, false
	m.granted, m.won, m.lease = 0, 0, 0
	m.caused = s == breaker.Open || s == breaker.HalfOpen
}

func (m *model) advance() {
	if m.state == breaker.Open && m.age() >= m.openFor {
		m.enter(breaker.HalfOpen, m.start+m.openFor)
	}
}

func (m *model) open(d time.Duration) {
	if m.state != breaker.Open {
		m.trips++
	}
	m.enter(breaker.Open, m.now)
	m.openFor, m.given = d, d > 0
	if d <= 0 {
		grown := m.cfg.OpenFor
		for range m.level {
			grown = min(2*grown, m.cfg.MaxOpenFor)
		}
		m.level++
		m.openFor = grown / 2 // Rand is 0
	}
}

func (m *model) retryAfter() time.Duration {
	switch {
	case m.state == breaker.Open:
		return m.openFor - m.age()
	case m.state == breaker.HalfOpen && m.granted == m.cfg.Probes:
		return max(0, m.lease-m.age())
	}
	return 0
}

func (m *model) ready() bool {
	m.advance()
	return m.state != breaker.ForcedOpen && m.retryAfter() == 0
}

func (m *model) allow() (modelPermit, bool) {
	if !m.ready() {
		return modelPermit{}, false
	}
	if m.state == breaker.HalfOpen {
		if m.granted == m.cfg.Probes {
			m.enter(breaker.HalfOpen, m.now)
		}
		m.granted++
		m.lease = max(m.lease, m.age()+m.cfg.ProbeTimeout)
	}
	return modelPermit{stay: m.stay, start: m.age()}, true
}

func (m *model) done(p *modelPermit, o breaker.Outcome) {
	if p.done {
		return
	}
	p.done = true
	if p.stay != m.stay {
		return
	}
	slow := m.cfg.SlowCall > 0 && m.age()-p.start >= m.cfg.SlowCall
	switch m.state {
	case breaker.HalfOpen:
		switch {
		case o == breaker.Failure:
			m.open(0)
		case o == breaker.Success && slow:
			m.open(0)
		case o == breaker.Success:
			if m.won++; m.won == m.cfg.Probes {
				m.enter(breaker.Closed, m.now)
			}
		default:
			m.granted--
		}
	case breaker.Closed:
		if o == breaker.Ignored {
			return
		}
		m.record(modelCall{m.slice(), o == breaker.Failure, slow})
		if o == breaker.Success {
			m.run = 0
			m.proven = m.proven || m.level > 0 && m.age() >= m.cfg.Window
		} else {
			m.run++
		}
		if (o == breaker.Failure || slow) && m.verdict() {
			m.open(0)
		}
	}
}

func (m *model) hasten(d time.Duration) {
	m.advance()
	if m.state == breaker.Open && !m.given {
		m.openFor = min(m.openFor, max(0, d))
		m.advance()
	}
}

func (m *model) slice() int64 { return int64(m.age() / (m.cfg.Window / 10)) }

// record logs a call. If its time is a whole window before that of a logged call, which is
// possible only if time runs back, its slice has been reused.
func (m *model) record(c modelCall) {
	for _, old := range m.log {
		if old.slice > c.slice && (old.slice-c.slice)%10 == 0 {
			return
		}
	}
	m.log = slices.DeleteFunc(m.log, func(old modelCall) bool {
		return old.slice < c.slice && (c.slice-old.slice)%10 == 0
	})
	m.log = append(m.log, c)
}

func (m *model) counts() (calls, failed, slow, recentGood int) {
	for _, c := range m.log {
		age := m.slice() - c.slice
		if age < 0 || age >= 10 {
			continue
		}
		calls++
		if c.slow {
			slow++
		}
		if c.failed {
			failed++
		} else if age < 2 {
			recentGood++
		}
	}
	return calls, failed, slow, recentGood
}

func (m *model) verdict() bool {
	calls, failed, slow, recentGood := m.counts()
	n, c := float64(calls), m.cfg
	switch {
	case c.ConsecutiveFailures > 0 && m.run >= c.ConsecutiveFailures && recentGood == 0:
	case c.FailureRatio > 0 && calls >= c.MinCalls && float64(failed) >= c.FailureRatio*n:
	case c.FailuresInWindow > 0 && failed >= c.FailuresInWindow:
	case c.SlowCall > 0 && calls >= c.MinCalls && float64(slow) >= c.SlowRatio*n:
	default:
		return false
	}
	return true
}

func (m *model) trip(d time.Duration) {
	m.advance()
	switch m.state {
	case breaker.ForcedOpen, breaker.Disabled:
	case breaker.Open:
		if d > m.retryAfter() {
			m.open(d)
		}
	default:
		m.open(d)
	}
}

func (m *model) set(s breaker.State) {
	m.advance()
	m.enter(s, m.now)
	m.level = 0
}

// stats returns what Stats must say, but for the text of the cause.
func (m *model) stats() breaker.Stats {
	m.advance()
	s := breaker.Stats{State: m.state, Since: epoch.Add(m.since), Window: m.cfg.Window, Trips: m.trips, RetryAfter: m.retryAfter()}
	for i := len(m.path) - 1; i >= 0 && m.path[i] != breaker.Closed; i-- {
		s.DownSince = epoch.Add(m.times[i])
	}
	switch m.state {
	case breaker.Closed:
		s.Calls, s.Failures, s.Slow, _ = m.counts()
		s.ConsecutiveFailures = m.run
	case breaker.HalfOpen:
		s.Probes = m.granted - m.won
	}
	return s
}
