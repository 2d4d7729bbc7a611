package simnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A Conn is one end of a connection. Its methods may be called concurrently,
// and errors are as those of a *net.TCPConn.
type Conn struct {
	in, out *pipe
	writing chan struct{} // holds one token while a Write is under way, so that writes do not mingle

	local, remote Addr

	network *Network
	host    *host
	link    *link
}

// Read waits for data, the end of the stream, the read deadline, a reset, or
// the end of c, and reads what has arrived.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write puts all of b into the buffer, waiting for room where there is none.
// That it succeeds says nothing about whether b arrives: the first write after
// the peer has closed its end succeeds too, for only its answer can tell, and
// further ones fail with EPIPE. If the peer closes its end with bytes unread,
// a write fails with ECONNRESET, the one under way included.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing <- struct{}{} // the one ahead ends with Close or the deadline at the latest
	defer func() { <-c.writing }()
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// Close ends both directions and wakes the goroutines that are blocked on them at this
// end. The peer still receives what has been written, then io.EOF.
func (c *Conn) Close() error {
	if !c.in.closeRead() {
		return c.opError("close", net.ErrClosed)
	}
	_ = c.out.closeWrite(true) // it was open, as the other direction was

	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.link.ends--; c.link.ends == 0 {
		delete(c.host.links, c.link)
	}
	return nil
}

// CloseWrite ends the outgoing direction: the peer reads io.EOF after the
// data, and can still write.
func (c *Conn) CloseWrite() error {
	return c.opError("close", c.out.closeWrite(false))
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time after which reads fail with
// os.ErrDeadlineExceeded, the one under way included; zero is never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline is SetReadDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setWriteDeadline(t))
}

// opError dresses err as package net does. io.EOF goes bare.
func (c *Conn) opError(op string, err error) error {
	var errno syscall.Errno
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.As(err, &errno):
		err = os.NewSyscallError(op, err)
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}
