package rpcx

import (
	"context"
	"time"
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
	calls    int64         // replies that had come by then on other connections
}

// scouted is what a dial for a scout came to.
type scouted struct {
	conn *conn
	err  error
	took time.Duration
}

// sendScout connects a scout, unless there is one.
func (p *prober) sendScout(ctx context.Context) {
	if p.fixed || p.scout != nil || p.scouting {
		return
	}
	p.scouting = true
	p.client.background(func() {
		started := time.Now()
		c, err := p.open(&p.side)
		if err == nil {
			c.scout.Store(true)
		}
		select {
		case p.scouts <- scouted{c, err, time.Since(started)}:
		case <-ctx.Done():
			if err == nil {
				c.fail(errClosedWire)
			}
		}
	})
}

// scoutArrived pings with a scout that has connected.
func (p *prober) scoutArrived(ctx context.Context, now time.Time, s scouted) {
	p.scouting, p.refused = false, s.err != nil && isRefused(s.err)
	if s.err != nil {
		return
	}
	p.scout = &scout{conn: s.conn, took: s.took, started: now.Sub(p.client.born), calls: p.replies()}
	s.conn.sendPing(now)
}

// scoutEnded is closed when the scout's connection is over; nil without a scout.
func (p *prober) scoutEnded() <-chan struct{} {
	if p.scout == nil {
		return nil
	}
	return p.scout.conn.done
}

// checkScout learns from the scout's ping. It returns when to look at it again, or at.
func (p *prober) checkScout(ctx context.Context, now, at time.Time) time.Time {
	if p.scout == nil {
		return at
	}
	c := p.scout.conn
	c.settlePing()
	switch {
	case c.dead():
		p.scout = nil
		if p.support() == PingsUnknown && !p.strike() {
			p.sendScout(ctx)
		}
	case c.unreached: // as if it had not connected
		p.refused = true
		p.dropScout(errClosedWire)
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
	case p.replies() > p.scout.calls && now.Sub(p.client.born)-p.scout.started >= p.usualPatience(now):
		p.setSupport(PingsIgnored)
		p.dropScout(errClosedWire)
	}
	return at
}

// replies is how many answers the connections that carry calls have brought.
func (p *prober) replies() (n int64) {
	for _, c := range p.pool.all() {
		n += c.replies.Load()
	}
	return n
}

func (p *prober) dropScout(cause error) {
	if s := p.scout; s != nil {
		p.scout = nil
		s.conn.fail(cause)
	}
}

// relieve puts the scout, which lives, in the place of a connection that is silent. The
// calls on that one go on waiting.
func (p *prober) relieve(c *conn) {
	for i := range p.pool.lanes {
		if l := &p.pool.lanes[i]; l.conn.Load() == c {
			c.retire()
			p.promote(l)
			return
		}
	}
}

// promote makes the scout the connection of a lane.
func (p *prober) promote(l *lane) {
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
