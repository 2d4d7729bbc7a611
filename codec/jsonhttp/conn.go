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

// NewClient returns a codec.JSON2 client codec over a Conn that POSTs to url.
func NewClient(url string) (rpc.ClientCodec, error) {
	conn, err := NewConn(Config{URL: url})
	if err != nil {
		return nil, err
	}
	return codec.NewJSON2Client(conn), nil
}

// A Conn is a net.Conn that POSTs each line written to it, a message of JSON-RPC 2.0, and
// from which the replies are read, in any order. Several requests may be in flight.
//
// Requests are independent of each other. If one gets no JSON-RPC reply (the server cannot
// be reached, closes the connection, takes too long, or sends another response), only its
// call fails: Read returns a *codec.ExchangeError and can be called again. errors.As finds
// the cause, such as a *StatusError or a *net.OpError. Only Close ends a Conn. The results
// of notifications are ignored.
//
// Write, Cancel and Close may be called concurrently; Read by one goroutine at a time.
type Conn struct {
	cfg       Config
	url       *url.URL
	header    http.Header
	host      string // replaces the URL's host unless empty
	client    *http.Client
	idle      func() // closes the idle connections of the Conn's own transport
	mayRewind bool   // see exchange.rewind

	answered atomic.Bool // the server has sent an HTTP response

	ends  chan end
	slots chan struct{} // one for each request in flight
	rest  []byte        // rest of the reply being read; used by Read only

	ctx    context.Context // done after Close
	cancel context.CancelCauseFunc
	posts  sync.WaitGroup

	mu            sync.Mutex // protects following, and the order of lines
	partial       []byte     // a line without its newline yet
	closed        bool
	inflight      map[uint64]*exchange
	canceledEarly map[uint64]bool // canceled before they were written
	next          uint64          // greater than the number of every request written
}

// end is the result of an exchange: a reply or an error.
type end struct {
	reply []byte
	err   error
}

// NewConn returns a Conn. It does not connect to the server; the first request does.
func NewConn(cfg Config) (*Conn, error) {
	u, err := cfg.check()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		cfg: cfg.withDefaults(), url: u, idle: func() {},
		ends: make(chan end), inflight: make(map[uint64]*exchange), canceledEarly: make(map[uint64]bool),
	}
	c.header, c.host = c.cfg.headers()
	c.makeClient()
	c.slots = make(chan struct{}, c.cfg.MaxInFlight)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// Write starts a POST for each line of p. It keeps a line without a newline until the
// newline is written. It does not block: each request has a goroutine. It returns an error
// for input that does not begin with a JSON object or array, and after Close.
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

// start starts an exchange. The caller holds mu.
func (c *Conn) start(request []byte) {
	x := newExchange(c, request)
	if x.numbered {
		c.next = max(c.next, x.seq+1)
		c.inflight[x.seq] = x
		if c.canceledEarly[x.seq] {
			x.abandon()
		}
		for seq := range c.canceledEarly { // numbers rise: those before are not written any more
			if seq < c.next {
				delete(c.canceledEarly, seq)
			}
		}
	}
	c.posts.Go(x.run)
}

// forget removes an exchange that has ended. After Close, exchanges are kept for Cancel.
func (c *Conn) forget(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.inflight[x.seq] == x {
		delete(c.inflight, x.seq)
	}
}

// Cancel implements codec.Canceler. It also cancels the HTTP request.
func (c *Conn) Cancel(seq uint64) (notRun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.inflight[seq]; x != nil {
		return x.abandon()
	}
	if seq < c.next {
		return false
	}
	if !c.closed {
		c.canceledEarly[seq] = true
	}
	return true
}

// Read reads replies. Conn describes its errors; after Close the error is net.ErrClosed.
func (c *Conn) Read(p []byte) (int, error) {
	for c.ctx.Err() == nil {
		if len(c.rest) > 0 {
			n := copy(p, c.rest)
			c.rest = c.rest[n:]
			return n, nil
		}
		select {
		case end := <-c.ends:
			if end.err != nil && c.ctx.Err() == nil { // else Close has ended the exchange
				return 0, end.err
			}
			c.rest = end.reply
		case <-c.ctx.Done():
		}
	}
	return 0, context.Cause(c.ctx)
}

// Close cancels all requests in flight and waits for their goroutines. If Config.Client
// is nil, it also closes the HTTP connections.
func (c *Conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	for _, x := range c.inflight {
		x.withdraw()
	}
	c.cancel(net.ErrClosed) // and with it each exchange
	c.mu.Unlock()
	c.posts.Wait()
	c.idle()
	if again {
		return net.ErrClosed
	}
	return nil
}

// LocalAddr implements net.Conn. The address is empty.
func (c *Conn) LocalAddr() net.Addr { return addr("") }

// RemoteAddr implements net.Conn. The address is the URL without user, password and query,
// which may be secret.
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

// SetDeadline implements net.Conn. It returns os.ErrNoDeadline: a Conn has no deadlines. See
// Config.Client for a timeout.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline returns os.ErrNoDeadline, like SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline returns os.ErrNoDeadline, like SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
