package jsonhttp

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/rpc"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// NewClient returns a client codec that POSTs to url: codec.JSON2's over a Conn.
func NewClient(url string) (rpc.ClientCodec, error) {
	conn, err := NewConn(Config{URL: url})
	if err != nil {
		return nil, err
	}
	return codec.NewJSON2Client(conn), nil
}

// A Conn is a connection that POSTs each line written to it, a message of
// JSON-RPC 2.0, and from which the replies can be read as they come in. Requests
// go out several at a time, and replies come in any order.
//
// Its exchanges do not depend on each other. One that brings no reply (the server
// cannot be reached, breaks off, takes too long, or answers with something else) fails
// its own call: Read returns a *codec.ExchangeError, from which errors.As gets the
// cause, such as a *StatusError or a *net.OpError, and can be called again. Only Close
// ends a Conn. What becomes of a notification is not known.
//
// Read may be called by one goroutine, Write, Cancel and Close by any.
type Conn struct {
	cfg     Config
	url     *url.URL
	header  http.Header
	host    string // in place of the URL's, if not empty
	client  *http.Client
	idle    func() // closes the idle connections of a transport of our own
	rewinds bool   // see body.rewind

	answered atomic.Bool // the server has sent an HTTP response

	ends   chan end
	places chan struct{} // one for each request under way
	rest   []byte        // of the reply being read; owned by Read's caller

	ctx    context.Context // ends with the Conn
	cancel context.CancelCauseFunc
	posts  sync.WaitGroup

	mu       sync.Mutex // protects following, and the order of lines
	partial  []byte     // a line that has not ended
	closed   bool
	underway map[uint64]*exchange
	early    map[uint64]bool // given up, and not written yet
	next     uint64          // above the numbers of all requests that were written
}

// end is the end of an exchange: a reply, or an error.
type end struct {
	reply []byte
	err   error
}

// NewConn returns a Conn. It does not try to reach the server.
func NewConn(cfg Config) (*Conn, error) {
	u, err := cfg.check()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		cfg: cfg.withDefaults(), url: u, idle: func() {},
		ends: make(chan end), underway: make(map[uint64]*exchange), early: make(map[uint64]bool),
	}
	c.header, c.host = c.cfg.headers()
	c.makeClient()
	c.places = make(chan struct{}, c.cfg.MaxInFlight)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// Write POSTs each line of p, the last one once it is ended by a newline. It does
// not block: each request waits for its place and for its reply in a goroutine. What is no
// JSON is an error.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	c.partial = append(c.partial, p...)
	if err := foreign(c.partial); err != nil {
		c.partial = nil
		return 0, err
	}
	if bytes.IndexByte(p, '\n') < 0 {
		return len(p), nil
	}
	end := bytes.LastIndexByte(c.partial, '\n') + 1
	lines := c.partial[:end]
	c.partial = bytes.Clone(c.partial[end:])
	for line := range bytes.Lines(lines) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.start(bytes.Clone(line))
		}
	}
	return len(p), nil
}

// start begins an exchange. The caller holds mu.
func (c *Conn) start(request []byte) {
	x := newExchange(c, request)
	if x.numbered {
		c.next = max(c.next, x.seq+1)
		c.underway[x.seq] = x
		if c.early[x.seq] {
			delete(c.early, x.seq)
			x.giveUp()
		}
	}
	c.posts.Go(x.run)
}

// forget ends an exchange. One that Close has ended remains known to Cancel.
func (c *Conn) forget(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.underway[x.seq] == x {
		delete(c.underway, x.seq)
	}
}

// Cancel implements codec.Canceler. The HTTP request ends at once, and its place is
// free.
func (c *Conn) Cancel(seq uint64) (notRun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.underway[seq]; x != nil {
		return x.giveUp()
	}
	if seq < c.next {
		return false
	}
	if !c.closed {
		c.early[seq] = true
	}
	return true
}

// Read reads replies; see Conn for its errors. It returns net.ErrClosed after Close.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case end := <-c.ends:
			if end.err != nil {
				return 0, end.err
			}
			c.rest = end.reply
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Close ends all requests under way, waits for their goroutines, and closes the
// connections of a Conn whose Config.Client is nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	for _, x := range c.underway {
		x.giveUp()
	}
	c.cancel(net.ErrClosed)
	c.mu.Unlock()
	c.posts.Wait()
	c.idle()
	if again {
		return net.ErrClosed
	}
	return nil
}

// LocalAddr implements net.Conn. The address says nothing.
func (c *Conn) LocalAddr() net.Addr { return addr("") }

// RemoteAddr implements net.Conn. The address is the URL without what may be secret:
// user, password and query.
func (c *Conn) RemoteAddr() net.Addr {
	return addr(publicURL(c.url))
}

// publicURL is a URL without what may be secret.
func publicURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

type addr string

func (a addr) Network() string { return "http" }
func (a addr) String() string  { return string(a) }

// SetDeadline implements net.Conn. A Conn has no deadlines; see Config.Client.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline is like SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline is like SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
