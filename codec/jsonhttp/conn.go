package jsonhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"net/url"
	"os"
	"sync"
	"time"

	"resilientrpc/codec"
)

const (
	defaultMaxInFlight = 64
	defaultMaxFrame    = 64 << 20
)

// Config says where and how a Conn sends its requests.
type Config struct {
	// URL is where requests are POSTed. It is required.
	URL string
	// Client makes the requests; nil means http.DefaultClient. Its Timeout, if
	// set, ends the connection when a reply takes longer.
	Client *http.Client
	// Header is added to each request. It must not be changed any more.
	Header http.Header
	// MaxInFlight is the number of requests that may wait for their replies;
	// further ones wait in Write. 0 means 64; negative is an error.
	MaxInFlight int
	// MaxFrame is the largest reply in bytes. 0 means 64 MiB; negative is an
	// error. A reply beyond it becomes an error of its call.
	MaxFrame int64
}

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
// go out at once, several at a time, and replies come in any order.
//
// A failed request (the server cannot be reached, or answers 5xx without a
// JSON-RPC reply) ends the Conn as it would end a stream: Read returns the error,
// a *StatusError in the latter case, and nobody knows what became of the other
// requests under way. Any other response without a JSON-RPC reply is answered to
// its one request, by an error with codec.CodeInternalError.
//
// Read may be called by one goroutine, Write and Close by any.
type Conn struct {
	cfg     Config
	client  *http.Client
	replies chan []byte
	slots   chan struct{} // one for each request under way
	rest    []byte        // of the reply being read; owned by Read's caller

	ctx    context.Context // ends with the Conn
	cancel context.CancelCauseFunc
	posts  sync.WaitGroup

	mu      sync.Mutex // protects following, and the order of lines
	partial []byte     // a line that has not ended
	closed  bool
}

// StatusError is the error of a response that is no JSON-RPC reply.
type StatusError struct {
	Code   int
	Status string // as in http.Response
}

func (e *StatusError) Error() string { return "jsonhttp: the server answered " + e.Status }

// NewConn returns a Conn. It does not try to reach the server.
func NewConn(cfg Config) (*Conn, error) {
	switch u, err := url.Parse(cfg.URL); {
	case err != nil:
		return nil, fmt.Errorf("jsonhttp: Config.URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("jsonhttp: Config.URL is %q, want an http or https URL", cfg.URL)
	case cfg.MaxInFlight < 0:
		return nil, fmt.Errorf("jsonhttp: Config.MaxInFlight is %d, want 0 or more", cfg.MaxInFlight)
	case cfg.MaxFrame < 0:
		return nil, fmt.Errorf("jsonhttp: Config.MaxFrame is %d, want 0 or more", cfg.MaxFrame)
	}
	c := &Conn{cfg: cfg, client: cfg.Client, replies: make(chan []byte)}
	if c.client == nil {
		c.client = http.DefaultClient
	}
	if c.cfg.MaxInFlight == 0 {
		c.cfg.MaxInFlight = defaultMaxInFlight
	}
	if c.cfg.MaxFrame == 0 {
		c.cfg.MaxFrame = defaultMaxFrame
	}
	c.slots = make(chan struct{}, c.cfg.MaxInFlight)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// Write POSTs each line of p, the last one once it is ended by a newline. It
// waits while MaxInFlight requests are under way.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	lines := append(c.partial, p...)
	end := bytes.LastIndexByte(lines, '\n') + 1
	c.partial = bytes.Clone(lines[end:])
	c.mu.Unlock()
	for line := range bytes.Lines(lines[:end]) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := c.start(bytes.Clone(line)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// start posts a request in a goroutine of its own.
func (c *Conn) start(request []byte) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	c.posts.Go(func() {
		defer func() { <-c.slots }()
		reply, err := c.post(request)
		if err != nil {
			c.cancel(err)
			return
		}
		if reply == nil {
			return
		}
		select {
		case c.replies <- reply:
		case <-c.ctx.Done():
		}
	})
	return nil
}

// Read reads replies. It returns net.ErrClosed after Close.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case c.rest = <-c.replies:
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Close ends all requests under way and waits for their goroutines.
func (c *Conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.cancel(net.ErrClosed)
	c.mu.Unlock()
	c.posts.Wait()
	if again {
		return net.ErrClosed
	}
	return nil
}

// post makes one request and returns the reply to hand on, nil for none. Its
// error ends the connection.
func (c *Conn) post(request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	for name, values := range c.cfg.Header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", contentType)
	response, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, c.cfg.MaxFrame+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) > c.cfg.MaxFrame:
		return refusal(request, fmt.Errorf("jsonhttp: the reply is larger than %d bytes, Config.MaxFrame", c.cfg.MaxFrame)), nil
	}
	if reply := settle(request, body); reply != nil {
		return reply, nil
	}
	status := &StatusError{response.StatusCode, response.Status}
	if status.Code >= 500 {
		return nil, status
	}
	if status.Code < 300 && len(bytes.TrimSpace(body)) > 0 {
		return refusal(request, errors.New("jsonhttp: the server's answer is no JSON-RPC reply")), nil
	}
	return refusal(request, status), nil
}

// LocalAddr implements net.Conn. The address says nothing.
func (c *Conn) LocalAddr() net.Addr { return addr("") }

// RemoteAddr implements net.Conn. The address is the URL.
func (c *Conn) RemoteAddr() net.Addr { return addr(c.cfg.URL) }

type addr string

func (a addr) Network() string { return "http" }
func (a addr) String() string  { return string(a) }

// SetDeadline implements net.Conn. A Conn has no deadlines; see Config.Client.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline is like SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline is like SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
