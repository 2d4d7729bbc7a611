package rpcx

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// Serve accepts connections on lis and serves each with server, until ctx ends;
// then it closes lis, refuses further requests, lets those that run have their
// replies, closes the connections and returns nil. A nil server means
// [DefaultServer], a nil newCodec [codec.NewGobServer].
//
// It does what [Accept] does, and three things more: replies that become ready
// together leave in one system call; a failing Accept is tried again, at growing
// intervals up to a second, until lis is closed; and connections end in order. When
// ctx ends, each stays open until its client closes it, as a [Client] of this
// package does once a call or a ping of its has been refused, or until it has been
// idle for two seconds. Over gob the refusal proves that the method did not run,
// and such a client takes the call to another replica; to all others it is an error
// of the method. Serve closes lis in any case, and returns Accept's error if that
// ended it.
func Serve(ctx context.Context, lis net.Listener, server *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) error {
	s := &serving{server: server, newCodec: newCodec, conns: make(map[*serverConn]struct{})}
	if s.server == nil {
		s.server = rpc.DefaultServer
	}
	if s.newCodec == nil {
		s.newCodec = codec.NewGobServer
	}
	defer s.wg.Wait()
	defer context.AfterFunc(ctx, func() {
		lis.Close()
		s.drain()
	})()
	defer lis.Close()
	err := s.accept(ctx, lis)
	if ctx.Err() != nil {
		return nil
	}
	s.drain()
	return err
}

// serving is one call of Serve. It starts one goroutine for each connection, and
// at times a flusher for it, and waits for them.
type serving struct {
	server   *rpc.Server
	newCodec func(io.ReadWriteCloser) rpc.ServerCodec
	wg       sync.WaitGroup
	draining atomic.Bool // changed under mu

	mu    sync.Mutex // protects following
	conns map[*serverConn]struct{}
}

const (
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
)

func (s *serving) accept(ctx context.Context, lis net.Listener) error {
	delay := time.Duration(0)
	for {
		conn, err := lis.Accept()
		switch {
		case err == nil:
			delay = 0
			s.wg.Go(func() { s.serve(conn) })
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of file descriptors, say: it passes (net/http waits the same way).
		delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// add takes a connection on, unless the draining has begun.
func (s *serving) add(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining.Load() {
		s.conns[c] = struct{}{}
		return true
	}
	return false
}

func (s *serving) remove(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *serving) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for c := range s.conns {
		c.endIfIdle()
	}
}

func (s *serving) serve(conn net.Conn) {
	c := &serverConn{conn: conn, draining: &s.draining}
	if !s.add(c) {
		conn.Close()
		return
	}
	defer s.remove(c)
	c.wire = newWire(conn, s.wg.Go, func(error) { conn.Close() }) //nolint:errcheck // the write's error came first
	c.ServerCodec = s.newCodec(c.wire)
	s.server.ServeCodec(c)
}

// errDraining is the answer to a request that comes while its server drains,
// and the proof that it did not run. drainingMethod is what net/rpc's server is
// asked for in its place, which it does not find.
const drainingMethod = "rpcx.draining"

var errDraining = errors.New("rpcx: the server is draining and did not run the method")

const (
	// idling is how long a connection that drains waits for requests to refuse: two
	// slots of a client's pings.
	idling = 2 * time.Second
	// lingering is how long it is read after that, so that data on its way does not
	// make the kernel reset it and discard its last replies.
	lingering = 500 * time.Millisecond
)

// serverConn is the codec that net/rpc's server sees. It lets replies gather, and
// refuses requests while the server drains.
type serverConn struct {
	rpc.ServerCodec
	conn     net.Conn
	wire     *wire
	draining *atomic.Bool
	pending  atomic.Int64 // requests read and not answered
	running  atomic.Int64 // of these, those that are not refused
	ending   atomic.Bool
}

// ReadRequestHeader implements rpc.ServerCodec.
func (c *serverConn) ReadRequestHeader(r *rpc.Request) error {
	err := c.ServerCodec.ReadRequestHeader(r)
	if err != nil {
		return err
	}
	c.pending.Add(1)
	c.running.Add(1) // before looking, so that drain sees this request or this the draining
	if c.draining.Load() {
		r.ServiceMethod = drainingMethod
		c.done()
	}
	return nil
}

// done ends the running of a request, and perhaps of the connection.
func (c *serverConn) done() {
	c.running.Add(-1)
	if c.draining.Load() {
		c.endIfIdle()
	}
}

// WriteResponse implements rpc.ServerCodec. Its caller holds the lock that other
// replies wait for, so that only the last of them may write to the connection
// itself; the others are left to a flusher, for which they gather.
func (c *serverConn) WriteResponse(r *rpc.Response, body any) error {
	if r.ServiceMethod == drainingMethod {
		r.Error = errDraining.Error()
	} else {
		defer c.done()
	}
	c.wire.cork()
	err := c.ServerCodec.WriteResponse(r, body)
	c.wire.uncork()
	c.wire.send(c.pending.Add(-1) == 0)
	return err
}

// endIfIdle sees to it, once, that the reading ends soon after the last request
// has run while the server drains; net/rpc's server then closes the codec.
func (c *serverConn) endIfIdle() {
	if c.running.Load() == 0 && c.ending.CompareAndSwap(false, true) {
		c.conn.SetReadDeadline(time.Now().Add(idling))      //nolint:errcheck // without it, the client ends the reading
		c.conn.SetWriteDeadline(time.Now().Add(writeStall)) //nolint:errcheck // likewise
	}
}

// Close implements rpc.ServerCodec: what waits leaves before the connection ends.
func (c *serverConn) Close() error {
	c.wire.settle()
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && c.draining.Load() && half.CloseWrite() == nil {
		c.conn.SetReadDeadline(time.Now().Add(lingering)) //nolint:errcheck // then it lingers as long as the client
		io.Copy(io.Discard, c.conn)                       //nolint:errcheck // its end is all that counts
	}
	return c.ServerCodec.Close()
}
