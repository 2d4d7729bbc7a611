package rpcx

import (
	"errors"

	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/wire"
)

// This file is what the client does about a peer that may speak another protocol. All of it
// ends with the first answer on a connection.

// heads is what is known of the connection's two protocols. The codec is not one that the
// user gave.
func (c *conn) heads() mismatch.Client {
	d := &c.ep.client.dialer
	m := mismatch.Client{Inner: !c.ep.fixed && (d.TLSConfig != nil || d.HTTPPath != "")}
	m.Sent, m.Received = c.Wire().Heads()
	return m
}

// understood notes that the two ends speak the same protocol.
func (c *conn) understood() {
	c.ep.understood.Store(true)
	if w := c.Wire(); w != nil {
		w.DropHeads()
	}
}

// Explain implements transport.Observer.
func (c *conn) Explain(cause error) error {
	if c.Wire() == nil || c.answered.Load() || errors.Is(cause, ErrShutdown) || errors.Is(cause, wire.ErrClosed) {
		return cause
	}
	return c.heads().Lost(cause, c.ep.understood.Load())
}

// errNoReply is a peer that has sent something that is no reply, and goes on waiting.
var errNoReply = errors.New("rpcx: what the peer has sent is no reply")

// doubt looks at a connection that has not answered its first request for some time. It
// ends it if the peer has sent something of another protocol; if it has sent nothing, it
// gets what a peer of another protocol answers, or hangs up on.
func (c *conn) doubt() {
	if c.Wire() == nil || c.answered.Load() || c.ep.understood.Load() || c.outstanding() == 0 {
		return
	}
	switch heads := c.heads(); {
	case heads.IsForeign():
		c.Fail(errNoReply)
	case len(heads.Received) == 0 && !c.nudged:
		c.nudged = true
		c.Interject(heads.Nudge())
	}
}
