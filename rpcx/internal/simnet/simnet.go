// Package simnet is a network in memory for tests in virtual time.
//
// A Network has named addresses to listen on and to dial. Its connections
// behave as TCP's do where a test could tell: writes return before the peer
// reads and block only when the buffer is full, deadlines and Close wake what
// is blocked, EOF comes after the data, and errors are those of package net
// down to the errno. Everything waits on channels and timers alone, so that a
// testing/synctest bubble sees a waiting goroutine as durably blocked and
// moves its clock on. The package starts no goroutine.
//
// Faults are switched per address while connections live: Delay, Replies, Stall,
// Blackhole, Refuse, Cut, and Resume, which ends all but Delay and Replies.
//
// A Network that is used in a bubble must be used in that bubble only, and is
// best closed by a deferred Close: virtual time stands still once the bubble's
// function has returned, so that an end of stream on its way would never
// arrive and the goroutine that waits for it would count as deadlocked.
package simnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	defaultBuffer  = 64 << 10
	defaultBacklog = 128
)

// A Network connects dialers to listeners by name. The zero Network is ready
// to use, and all methods may be called concurrently. It must not be copied.
type Network struct {
	// Buffer is how many bytes one direction of a connection holds between
	// the writer and the reader; 0 is 64 KiB. Set it before the first dial.
	Buffer int

	// Backlog is how many connections wait to be accepted before further
	// dials hang; 0 is 128. Set it before the first dial.
	Backlog int

	mu     sync.Mutex // protects following, and every host; taken before a pipe's
	hosts  map[string]*host
	ports  int // local ports given to dialers so far
	closed bool
}

// New returns an empty network: every dial is refused.
func New() *Network { return new(Network) }

// A host is what is known of one address: it exists before anybody listens
// there, for faults may be set first, and after the listener is closed.
type host struct {
	flow    flow
	refuse  bool
	delay   time.Duration
	replies func() time.Duration // see Network.Replies; nil for none
	dials   int
	ln      *Listener // nil without a listener
	links   map[*link]struct{}
	changed signal
}

// A link is one connection seen from above: its two directions.
type link struct {
	pipes [2]*pipe
	ends  int // ends that have not been closed; protected by Network.mu
}

// host returns the host at address. The caller holds n.mu.
func (n *Network) host(address string) *host {
	h := n.hosts[address]
	if h == nil {
		if n.hosts == nil {
			n.hosts = make(map[string]*host)
		}
		h = &host{links: make(map[*link]struct{})}
		n.hosts[address] = h
	}
	return h
}

// Listen starts to accept connections at address. It panics if somebody
// listens there already or n is closed, which are mistakes in the test.
func (n *Network) Listen(address string) *Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(address)
	if n.closed {
		panic("simnet: Listen on a closed Network")
	}
	if h.ln != nil {
		panic(fmt.Sprintf("simnet: %s has a listener already", address))
	}
	h.ln = &Listener{network: n, host: h, addr: Addr(address)}
	h.changed.fire()
	return h.ln
}

// DialContext connects to address, which takes one round trip of the delay
// set there. It fits net.Dialer.DialContext; the network's name only appears
// in errors. Without a listener the error is a *net.OpError with
// syscall.ECONNREFUSED in it; if ctx ends first, one with ctx.Err() in it.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.dial(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr(address), Err: err}
	}
	return c, nil
}

func (n *Network) dial(ctx context.Context, address string) (*Conn, error) {
	n.mu.Lock()
	h := n.host(address)
	h.dials++
	delay := h.delay
	n.mu.Unlock()

	if err := pause(ctx, delay); err != nil {
		return nil, err
	}
	c, err := n.connect(ctx, h, address)
	if c == nil {
		return nil, err
	}
	if err := pause(ctx, delay); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connect puts a new connection into the backlog at h, waiting for as long as
// h is blackholed or its backlog is full.
func (n *Network) connect(ctx context.Context, h *host, address string) (*Conn, error) {
	backlog := n.Backlog
	if backlog == 0 {
		backlog = defaultBacklog
	}
	for {
		n.mu.Lock()
		switch {
		case h.flow == blackholed && !n.closed:
		case h.refuse || h.ln == nil:
			n.mu.Unlock()
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		case len(h.ln.backlog) < backlog:
			client, server := n.link(h, address)
			h.ln.backlog = append(h.ln.backlog, server)
			h.changed.fire()
			n.mu.Unlock()
			return client, nil
		}
		changed := h.changed.wait()
		n.mu.Unlock()

		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// link makes a connection to h. The caller holds n.mu.
func (n *Network) link(h *host, address string) (client, server *Conn) {
	n.ports++
	here, there := Addr(fmt.Sprintf("dialer:%d", n.ports)), Addr(address)
	limit := n.Buffer
	if limit == 0 {
		limit = defaultBuffer
	}
	up := &pipe{limit: limit, flow: h.flow, delay: h.delay}
	down := &pipe{limit: limit, flow: h.flow, delay: h.delay, further: h.replies}
	l := &link{pipes: [2]*pipe{up, down}, ends: 2}
	h.links[l] = struct{}{}
	client = &Conn{in: down, out: up, writing: make(chan struct{}, 1), local: here, remote: there}
	server = &Conn{in: up, out: down, writing: make(chan struct{}, 1), local: there, remote: here}
	client.network, client.host, client.link = n, h, l
	server.network, server.host, server.link = n, h, l
	return client, server
}

// Close ends the network at once: it closes every listener, resets every
// connection, and refuses every dial, those that hang included. Whatever
// waits on n returns without time passing, except a dial on its delayed way.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for _, h := range n.hosts {
		if h.ln != nil {
			h.ln.closeLocked()
		}
		h.cut()
		h.changed.fire()
	}
}

// Dials returns how many times address has been dialed, in vain or not.
func (n *Network) Dials(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host(address).dials
}

// Open returns how many connections to address have not been closed at both
// ends, nor cut.
func (n *Network) Open(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.host(address).links)
}

// pause waits for d, or until ctx ends, and returns ctx's error then.
func pause(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Addr is an address on a Network: its name.
type Addr string

// Network returns "tcp", whose manners the connections have.
func (Addr) Network() string { return "tcp" }

// String returns the name.
func (a Addr) String() string { return string(a) }
