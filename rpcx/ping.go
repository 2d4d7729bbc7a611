package rpcx

import (
	"errors"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/transport"
	"resilientrpc/rpcx/internal/wire"
)

// pingMethod is registered nowhere. A net/rpc server answers a call of it with
// "can't find service", which is as good a sign of life as any.
const pingMethod = codec.PingMethod

// newPing returns an exchange that belongs to no call.
func newPing(reply *protocol.Health) *transport.Exchange {
	return &transport.Exchange{Method: pingMethod, Args: struct{}{}, Reply: reply, Background: true}
}

// outstanding is the number of requests that the peer has not answered, those of
// callers that have left included.
func (c *conn) outstanding() int64 {
	replies := c.replies.Load() // first, or a request between the two loads would be missing
	return max(0, c.sent.Load()-replies)
}

// expect notes that the peer is about to owe an answer to a request. The prober looks
// early at a peer that owes more than it has ever owed beside an answer: see
// endpoint.beside.
func (c *conn) expect(now time.Time) {
	e := c.ep
	e.detector.Expect(now)
	if e.pings && !e.lookEarly.Load() && c.outstanding() >= e.beside.Load() && e.lookEarly.CompareAndSwap(false, true) {
		e.kick()
	}
}

// mayTakeLong reports whether a request of the method may be answered later than a
// silence becomes suspicious, for all that is known of the method.
func (c *conn) mayTakeLong(method string) bool {
	if !c.ep.pings || method == pingMethod || method == protocol.WelcomeMethod || c.outstanding() < c.ep.beside.Load() {
		return false // a silence beside it is suspicious in any case
	}
	usual := c.ep.usual(method)
	return usual == 0 || 4*usual >= c.ep.client.dialer.Heartbeat
}

// owesMore reports whether the peer owes answers to more requests than it has ever owed
// beside an answer to a ping.
func (c *conn) owesMore() bool {
	owed := c.outstanding()
	if c.ping != nil {
		owed--
	}
	return owed > c.ep.beside.Load()
}

// explained reports whether the requests that the peer owes an answer to may explain its
// silence: it owes more than it has ever owed beside an answer, and some may take long.
func (c *conn) explained() bool { return c.owesMore() && c.unsure.Load() > 0 }

// ponged notes what the answer to a ping shows.
func (c *conn) ponged(now time.Time) {
	c.pong.Store(int64(now.Sub(c.ep.client.born)))
	if !c.scout.Load() && (c.ep.fixed || c.ep.support() != PingsUnknown) {
		c.ep.answersPings(c.before.Load() - c.replies.Load())
	}
}

// silentFor is how long ago the last sign of life was.
func (c *conn) silentFor(now time.Time) time.Duration {
	return now.Sub(c.ep.client.born) - time.Duration(c.heard.Load())
}

// watch asks the peer for a sign of life if half a slot saw none on this connection,
// and returns for how long the peer owes one. Other connections to the same peer
// may be alive meanwhile, and the endpoint's detector content with them. A connection
// that may not be pinged, or whose encoder is retired, owes what its requests do.
func (c *conn) watch(now time.Time, slot time.Duration) (owed time.Duration) {
	c.settlePing()
	c.doubt()
	at := now.Sub(c.ep.client.born)
	if c.Decoding() {
		c.heard.Store(int64(at))
	}
	silent := c.silentFor(now)
	if pong := time.Duration(c.pong.Load()); pong > 0 && at-pong > c.ep.aftermath() && !c.scout.Load() {
		c.ep.strikes.Store(0)
	}
	due := slot / 2
	if c.owesMore() {
		due = slot / 8
	}
	if c.ping == nil && silent >= due && c.ep.mayPing(c) && !c.Wire().Full() {
		c.sendPing(now)
		return 0
	}
	// A full wire cannot take a ping, and what it holds asks enough.
	if owes := c.ping != nil || silent >= slot/2 && (c.Wire() != nil && c.Wire().Full() || c.outstanding() > 0); !owes {
		c.owing = false
		return 0
	}
	if !c.owing {
		c.owing, c.asked = true, at
	}
	c.expectPing(now) // bytes that came were life, and no answer
	return min(at-c.asked, silent)
}

// sendPing asks for a sign of life. It is not called while the wire is full.
func (c *conn) sendPing(now time.Time) {
	c.expectPing(now)
	c.said = protocol.Health{}
	c.before.Store(c.sent.Load())
	c.pinged.Store(int64(now.Sub(c.ep.client.born)))
	c.ping, c.asked, c.owing = newPing(&c.said), now.Sub(c.ep.client.born), true
	if c.Start(c.ping, time.Time{}) != nil { // calls have outrun it to the room
		c.ping = nil
	}
}

// expectPing notes that a ping is unanswered. A scout's may be ignored, or not be
// accepted, and its silence says nothing: see scout.
func (c *conn) expectPing(now time.Time) {
	if !c.scout.Load() {
		c.ep.detector.Expect(now)
	}
}

// settlePing notes what the last ping came to, if it is over.
func (c *conn) settlePing() {
	if c.ping == nil {
		return
	}
	select {
	case <-c.ping.Ended():
	default:
		return
	}
	end := c.result(c.ping.Outcome())
	if isUnreached(end.err) {
		c.unreachable(end.err)
	}
	c.ping, c.owing = nil, false
	c.ep.heardHealth(c, end, &c.said)
	c.tellPing()
}

// heardHealth notes what a server says in answer to a ping, if that has been answered. An error
// of the method is that of a server which says nothing. What it says of metadata holds for all
// connections of the endpoint: codecs that must not send any before are told by it.
func (e *endpoint) heardHealth(c *conn, end result, said *protocol.Health) {
	if end.end != replied && end.end != methodFailed {
		return
	}
	e.running.Store(int64(said.Running))
	if said.Running > 0 {
		e.node.Report(time.Now(), said.Running-1) // without the ping
	}
	e.takesMeta.Store(said.Meta)
	if !said.Meta {
		return
	}
	e.remembers.CompareAndSwap(0, welcomeTries) // it may be: the next connection is to ask
	c.EnableMeta()
	for _, other := range e.pool.all() {
		other.EnableMeta()
	}
}

// unreachable notes that a ping's exchange found no connection, which for the endpoint
// is what a failed dial is. Calls that have theirs may go on.
func (c *conn) unreachable(err error) {
	c.unreached = true
	if now := time.Now(); dialing.IsLocal(err) {
		c.ep.detector.Excuse(now)
	} else {
		c.ep.breaker.Trip(now, 0, err)
	}
}

// tellPing reports the last ping, which is over, if it was answered. If not, so is
// the connection.
func (c *conn) tellPing() {
	took := time.Duration(c.pong.Load()) - c.asked
	if hook := c.ep.client.dialer.Trace.Ping; hook != nil && took >= 0 {
		hook(PingInfo{Endpoint: c.ep.addr, Started: c.ep.client.born.Add(c.asked), Duration: took})
	}
}

// endedByPing reports whether the peer has ended the connection right behind a ping.
func (c *conn) endedByPing(cause error) bool {
	if errors.Is(cause, ErrUnresponsive) || errors.Is(cause, ErrShutdown) || errors.Is(cause, wire.ErrClosed) {
		return false
	}
	pinged, answered := c.pinged.Load(), c.pong.Load()
	return pinged > answered || answered > 0 && time.Since(c.ep.client.born)-time.Duration(answered) <= 2*c.ep.aftermath()
}

// excuse lets the answer to a ping be owed only since now.
func (c *conn) excuse(now time.Time) { c.asked = now.Sub(c.ep.client.born) }

// isUnreached reports whether a ping has failed because its exchange found no connection.
func isUnreached(err error) bool {
	end := transport.ExchangeError(err)
	return end != nil && end.Answer == codec.NoAnswer && end.NotRun
}
