package simnet

import "net"

// A Listener accepts the connections dialed to its address.
type Listener struct {
	network *Network
	host    *host
	addr    Addr

	// protected by network.mu
	backlog []*Conn
	closed  bool
}

// Accept returns the connection that has waited longest. It blocks while
// there is none or the address is stalled, until Close.
func (ln *Listener) Accept() (net.Conn, error) {
	n := ln.network
	for {
		n.mu.Lock()
		if ln.closed {
			n.mu.Unlock()
			return nil, ln.opError("accept", net.ErrClosed)
		}
		if len(ln.backlog) > 0 && ln.host.flow != stalled {
			c := ln.backlog[0]
			ln.backlog = ln.backlog[1:]
			ln.host.changed.fire() // a dial may wait for room
			n.mu.Unlock()
			return c, nil
		}
		changed := ln.host.changed.wait()
		n.mu.Unlock()
		<-changed
	}
}

// Close frees the address and resets the connections that were not accepted.
// Accepted connections go on.
func (ln *Listener) Close() error {
	n := ln.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if ln.closed {
		return ln.opError("close", net.ErrClosed)
	}
	ln.closeLocked()
	return nil
}

// closeLocked closes ln, which is open. The caller holds network.mu.
func (ln *Listener) closeLocked() {
	ln.closed = true
	ln.host.ln = nil
	for _, c := range ln.backlog {
		c.in.reset()
		c.out.reset()
		delete(ln.host.links, c.link)
	}
	ln.backlog = nil
	ln.host.changed.fire()
}

// Addr returns the address that is listened on.
func (ln *Listener) Addr() net.Addr { return ln.addr }

func (ln *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: ln.addr.Network(), Addr: ln.addr, Err: err}
}
