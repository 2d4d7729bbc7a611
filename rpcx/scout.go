package rpcx

import (
	"context"
	"time"

	"resilientrpc/rpcx/internal/oserr"
	"resilientrpc/rpcx/internal/wire"
)

// scout is a connection beside those that carry calls. It shows how the endpoint takes
// pings before a ping can harm a call, and whether an endpoint lives whose other
// connections are silent. If one of those stays silent while the scout lives, the
// scout takes its place.
type scout struct {
	conn     *conn
	started  time.Duration // when it was pinged, since core.born
	took     time.Duration // what the dial took
	answered time.Time     // when its ping was; zero if it was not
	sent     int64         // requests that were sent by then on other connections
	replies  int64         // and answers that had come
}

// scouted is what a dial for a scout came to.
type scouted struct {
	conn *conn
	err  error
	took time.Duration
}

// introduce sends the first scout soon after the endpoint was connected. It returns when
// to look again, or at.
func (p *prober) introduce(ctx context.Context, now, at time.Time) time.Time {
	switch {
	case p.introduced.IsZero() || !p.pings:
		return at
	case now.Before(p.introduced):
		return earlier(at, p.introduced)
	case !p.pool.connected() || p.pool.lacking(): // the next slot's end will do
	case p.support() == PingsUnknown:
		p.sendScout(ctx)
	}
	p.introduced = time.Time{}
	return at
}

// sendScout connects a scout, unless there is one.
func (p *prober) sendScout(ctx context.Context) {
	if p.fixed || p.scout != nil || p.scouting {
		return
	}
	p.scouting = true
	go func() { // like any dial: it may be held up by a foreign dialer
		started := time.Now()
		c, err := p.open(&p.side)
		if err == nil {
			c.scout.Store(true)
		}
		select {
		case p.scouts <- scouted{c, err, time.Since(started)}:
		case <-ctx.Done():
			if err == nil {
				c.Fail(wire.ErrClosed)
			}
		}
	}()
}

// scoutArrived pings with a scout that has connected.
func (p *prober) scoutArrived(ctx context.Context, now time.Time, s scouted) {
	p.scouting, p.refused = false, oserr.IsRefused(s.err)
	if s.err != nil {
		return
	}
	p.scout = &scout{conn: s.conn, took: s.took, started: now.Sub(p.client.born), sent: p.sent(), replies: p.replies()}
	s.conn.sendPing(now)
}

// scoutEnded is closed when the scout's connection is over; nil without a scout.
func (p *prober) scoutEnded() <-chan struct{} {
	if p.scout == nil {
		return nil
	}
	return p.scout.conn.Done()
}

// checkScout learns from the scout's ping. It returns when to look at it again, or at.
func (p *prober) checkScout(ctx context.Context, now, at time.Time) time.Time {
	if p.scout == nil {
		return at
	}
	c := p.scout.conn
	c.Check(now)
	c.settlePing()
	switch {
	case c.Dead():
		p.scout = nil
		if p.support() == PingsUnknown {
			p.strike(now)
		}
	case c.unreached: // as if it had not connected
		p.refused = true
		p.dropScout(wire.ErrClosed)
	case p.support() != PingsUnknown:
	case c.replies.Load() > 0:
		if p.scout.answered.IsZero() {
			p.scout.answered = now
		}
		survived := p.scout.answered.Add(p.aftermath())
		if now.Before(survived) {
			return earlier(at, survived)
		}
		p.answersPings(0)
		p.dropScout(wire.ErrClosed)
		p.lookNow(ctx, now)
	case p.ignoresScout(now):
		p.setSupport(PingsIgnored)
	}
	return at
}

// ignoresScout reports whether the peer has answered calls, and not the scout's ping: a
// call that was sent behind it, or any while a ping would have been due for long.
func (p *prober) ignoresScout(now time.Time) bool {
	age := now.Sub(p.client.born) - p.scout.started
	return age >= p.slot/2 && p.replies() > p.scout.sent ||
		age >= p.usualPatience(now) && p.replies() > p.scout.replies
}

// sent is how many requests went out over the connections that carry calls.
func (p *prober) sent() (n int64) {
	for _, c := range p.pool.all() {
		n += c.sent.Load()
	}
	return n
}

// replies is how many of them were answered.
func (p *prober) replies() (n int64) {
	for _, c := range p.pool.all() {
		n += c.replies.Load()
	}
	return n
}

func (p *prober) dropScout(cause error) {
	if s := p.scout; s != nil {
		p.scout = nil
		s.conn.Fail(cause)
	}
}

// relieve puts the scout, which lives, in the place of a connection that is silent. The
// calls on that one go on waiting.
func (p *prober) relieve(c *conn) {
	for i := range p.pool.slots {
		if l := &p.pool.slots[i]; l.conn.Load() == c {
			c.Retire()
			p.promote(l)
			return
		}
	}
}

// promote makes the scout the connection of a pool slot.
func (p *prober) promote(l *poolSlot) {
	s, trace := p.scout, p.client.dialer.Trace
	p.scout = nil
	if hook := trace.ConnStart; hook != nil {
		hook(ConnInfo{Endpoint: p.addr})
	}
	if hook := trace.ConnDone; hook != nil {
		hook(ConnInfo{Endpoint: p.addr, Duration: s.took})
	}
	s.conn.scout.Store(false)
	p.adopt(l, s.conn)
}
