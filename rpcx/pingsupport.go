package rpcx

import (
	"fmt"
	"slices"
	"time"
)

// PingSupport says whether an endpoint answers pings, which are calls of a method that no
// service has. A server of net/rpc answers them also while it runs other calls.
type PingSupport uint8

const (
	// PingsUnknown says that no ping has ended yet, or that what the last ones came to is in
	// doubt, and is asked again.
	PingsUnknown PingSupport = iota
	// PingsAnswered says that the last ping was answered, even if with an error.
	PingsAnswered
	// PingsIgnored says that the endpoint answers calls but not pings. It is not
	// pinged until it has answered over a new connection.
	PingsIgnored
	// PingsFatal says that the endpoint's connections end immediately after pings. It is
	// not pinged until it has answered over a new connection.
	PingsFatal
)

// String returns "unknown", "answered", "ignored" or "fatal".
func (s PingSupport) String() string {
	switch s {
	case PingsUnknown:
		return "unknown"
	case PingsAnswered:
		return "answered"
	case PingsIgnored:
		return "ignored"
	case PingsFatal:
		return "fatal"
	}
	return fmt.Sprintf("PingSupport(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler, with String's words.
func (s PingSupport) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// stopped reports whether the endpoint is pinged no more.
func (s PingSupport) stopped() bool { return s == PingsIgnored || s == PingsFatal }

// support is what is known of the endpoint's answers to pings.
func (e *endpoint) support() PingSupport { return PingSupport(e.pingSupport.Load()) } //nolint:gosec // it holds nothing else

// setSupport notes what was learned of it.
func (e *endpoint) setSupport(s PingSupport) {
	old := PingSupport(e.pingSupport.Swap(uint32(s))) //nolint:gosec // likewise
	if old == s {
		return
	}
	e.concluded.Store(int64(time.Since(e.client.born)))
	if s != PingsUnknown && e.told.Swap(s.stopped()) != s.stopped() {
		if hook := e.client.dialer.Trace.PingSupport; hook != nil {
			hook(PingSupportInfo{Endpoint: e.addr, Support: s})
		}
	}
	e.publish(time.Now()) // whether a half-open breaker admits calls depends on it
	e.kick()
}

// answersPings notes an answer to a ping that came before the answers to so many older
// requests: it shows that the peer answers beside them.
func (e *endpoint) answersPings(older int64) {
	for {
		known := e.beside.Load()
		if older <= known || e.beside.CompareAndSwap(known, older) {
			break
		}
	}
	e.setSupport(PingsAnswered)
}

// doubtAfter is for how many slots, at least, the endpoint is not pinged once that is stopped.
const doubtAfter = 10

// doubtPings has an endpoint that is not pinged any more asked again once a connection has
// answered that was made since: connections may have ended behind pings because a proxy had
// no server behind it, or the process kept crashing, and it may be another server now.
func (e *endpoint) doubtPings(now time.Time) {
	since := e.client.born.Add(time.Duration(e.concluded.Load()))
	if !e.support().stopped() || now.Sub(since) < doubtAfter*e.client.slot() {
		return
	}
	if slices.ContainsFunc(e.pool.all(), func(c *conn) bool { return c.answered.Load() && c.born.After(since) }) {
		e.strikes.Store(0)
		e.setSupport(PingsUnknown)
	}
}

// fatalAfter is how many connections in a row must end right behind a ping before that
// is the ping's doing, and no accident.
const fatalAfter = 2

// aftermath is how long after an answer to a ping the end of the connection may be
// the ping's doing: there are servers that answer an unknown method, and then hang up.
func (e *endpoint) aftermath() time.Duration { return e.client.dialer.Heartbeat / 8 }

// strike notes that a connection ended right behind a ping. An endpoint that has
// answered pings before is asked once more, over connections that carry no calls; and
// of several connections of such a one that end together, one counts.
func (e *endpoint) strike(now time.Time) {
	at := int64(now.Sub(e.client.born))
	if last := e.struck.Swap(at); e.support() == PingsAnswered && at-last < int64(e.client.slot()) {
		return
	}
	if e.strikes.Add(1) < fatalAfter {
		return
	}
	e.strikes.Store(0)
	if e.support() == PingsAnswered {
		e.setSupport(PingsUnknown)
		return
	}
	e.setSupport(PingsFatal)
}

// probing reports whether pings, and not calls, try an endpoint that is away.
func (e *endpoint) probing() bool { return e.pings && !e.support().stopped() }

// mayPing reports whether a ping can do no harm on c. Until an endpoint has answered
// one, pings have a connection of their own: there are servers that end a connection
// behind an unknown method, and calls may be on it. A connection that was given has no
// other beside it; it is pinged only while it owes an answer.
func (e *endpoint) mayPing(c *conn) bool {
	switch {
	case !e.pings || c.Wire() == nil:
		return false
	case e.support() == PingsAnswered:
		return true
	}
	return e.fixed && c.outstanding() > 0
}
