package codec

import (
	"bytes"
	"errors"
	"io"
	"net/rpc"
	"strconv"
	"sync"
)

// jsonClient is the client codec of both versions of JSON-RPC.
type jsonClient struct {
	conn io.ReadWriteCloser
	in   jsonReader
	out  jsonWriter
	v2   bool
	wrap bool // JSON2.Wrap

	// The reply received last. Its result lies in the reader's buffer.
	result    []byte
	hasResult bool
	failure   *Error // its error object

	send sync.Mutex // orders writes: of requests, and of notifications

	mu      sync.Mutex // protects following
	pending map[uint64]string
}

func newJSONClient(conn io.ReadWriteCloser, max int64, knob string) *jsonClient {
	c := &jsonClient{conn: conn, pending: make(map[uint64]string)}
	c.in.init(conn, max, knob)
	c.out.init(requests(conn), max, knob)
	return c
}

// WholeFrames implements the interface of the same name.
func (c *jsonClient) WholeFrames() {}

func (c *jsonClient) WriteRequest(r *rpc.Request, body any) error {
	// Before it is sent: the answer may be faster than this goroutine.
	c.remember(r.Seq, r.ServiceMethod)
	c.send.Lock()
	defer c.send.Unlock()
	err := c.out.write(func(w *jsonWriter) error {
		if err := c.request(w, r.ServiceMethod, body); err != nil {
			return err
		}
		w.text(`,"id":`)
		w.uint(r.Seq)
		w.text("}")
		return nil
	})
	if err != nil {
		c.forget(r.Seq)
	}
	return err
}

// request appends a request without its id and end.
func (c *jsonClient) request(w *jsonWriter, method string, body any) error {
	if c.v2 {
		w.text(`{"jsonrpc":"2.0","method":`)
		w.quote(method)
		return c.params(w, body)
	}
	w.text(`{"method":`)
	w.quote(method)
	w.text(`,"params":[`)
	if err := w.value(body); err != nil {
		return err
	}
	w.text(`]`)
	return nil
}

func (c *jsonClient) remember(seq uint64, method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[seq] = method
}

func (c *jsonClient) forget(seq uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	method := c.pending[seq]
	delete(c.pending, seq)
	return method
}

// only returns the one request that waits for its answer, if it is one.
func (c *jsonClient) only() (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := range c.pending {
		return seq, len(c.pending) == 1
	}
	return 0, false
}

func (c *jsonClient) ReadResponseHeader(r *rpc.Response) error {
	var m jsonReply
	for {
		frame, err := c.in.next()
		if err != nil {
			return c.in.end(err)
		}
		if m.read(frame, c.v2); !m.request() {
			break
		}
	}
	c.result, c.hasResult, c.failure = notNull(m.result), m.result != nil, nil
	seq, err := c.seq(&m)
	if err != nil {
		return c.in.end(err)
	}
	r.Seq, r.ServiceMethod, r.Error = seq, c.forget(seq), ""
	if m.failure != nil {
		e, object := jsonError(m.failure)
		r.Error = e.Error()
		if object || c.v2 {
			c.failure = e
		}
	}
	return nil
}

// jsonReply has the members of a reply as they are written.
type jsonReply struct {
	id, result []byte
	failure    []byte // nil if null
	method     bool   // present
}

// read takes the members from a message. Their names are compared as
// encoding/json does in version 1.0, and exactly in version 2.0, which says so.
func (m *jsonReply) read(frame []byte, exact bool) {
	*m = jsonReply{}
	for name, value := range jsonMembers(frame) {
		switch {
		case named(name, "id", exact):
			m.id = value
		case named(name, "result", exact):
			m.result = value
		case named(name, "error", exact):
			m.failure = notNull(value)
		case named(name, "method", exact):
			m.method = true
		}
	}
}

// request reports whether the message is no reply but a request or notification
// of a peer that has clients for servers. It is ignored.
func (m *jsonReply) request() bool { return m.method && m.result == nil && m.failure == nil }

func named(name []byte, want string, exact bool) bool {
	return string(name) == want || !exact && len(name) >= len(want) && bytes.EqualFold(name, []byte(want))
}

// seq reads the id of a reply. An error without one is a request that the peer
// could not read; it can be told whose it is if only one waits.
func (c *jsonClient) seq(m *jsonReply) (uint64, error) {
	if seq, ok := jsonSeq(m.id); ok {
		return seq, nil
	}
	if m.failure == nil {
		return 0, errors.New("codec: a reply has no id that a request had")
	}
	if seq, ok := c.only(); ok {
		return seq, nil
	}
	e, _ := jsonError(m.failure)
	return 0, errors.New("codec: the peer refused a request without saying which: " + e.Error())
}

// jsonSeq reads an id of ours: a number, or the same in quotes or as a float, as
// some peers return it.
func jsonSeq(id []byte) (uint64, bool) {
	id = bytes.TrimSuffix(unquoted(id), []byte(".0"))
	seq, err := strconv.ParseUint(string(id), 10, 64)
	return seq, err == nil
}

// ReadError implements ErrorReader.
func (c *jsonClient) ReadError() error {
	if c.failure == nil {
		return nil
	}
	return c.failure
}

var errNoResult = errors.New("codec: the reply has neither a result nor an error")

func (c *jsonClient) ReadResponseBody(body any) error {
	switch {
	case body == nil:
		return nil
	case c.result != nil:
		return decodeJSON(c.result, body)
	case c.hasResult && c.v2: // null, which is as good as any other value
		return decodeJSON([]byte("null"), body)
	}
	return &DecodeError{errNoResult}
}

func (c *jsonClient) Close() error { return c.conn.Close() }
