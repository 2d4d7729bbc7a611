package codec

import (
	"encoding/json"
	"errors"
	"io"
	"net/rpc"
	"strconv"
	"sync"
)

// JSON makes codecs for JSON-RPC 1.0 as net/rpc/jsonrpc speaks it. A stock peer
// at the other end does not notice the difference. The zero JSON is the default.
type JSON struct {
	// MaxFrame is the largest message in bytes. 0 means 64 MiB; negative means
	// no limit. A message beyond it is a *FrameError.
	MaxFrame int64
}

// NewJSONClient returns the default client codec for JSON-RPC 1.0:
// JSON{}.NewClient. It fits wherever a func(io.ReadWriteCloser) rpc.ClientCodec
// is wanted.
func NewJSONClient(conn io.ReadWriteCloser) rpc.ClientCodec { return JSON{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write
// requests, and another one read replies, as net/rpc's Client does.
func (j JSON) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	c := &jsonClient{conn: conn, pending: make(map[uint64]string)}
	c.in.init(conn, maxFrame(j.MaxFrame))
	c.out.init(conn, maxFrame(j.MaxFrame))
	return c
}

type jsonClient struct {
	conn io.ReadWriteCloser
	in   jsonReader
	out  jsonWriter
	// result of the reply received last; it lies in the reader's buffer.
	result []byte

	mu      sync.Mutex // protects following
	pending map[uint64]string
}

// WholeFrames implements the interface of the same name.
func (c *jsonClient) WholeFrames() {}

func (c *jsonClient) WriteRequest(r *rpc.Request, body any) error {
	// Before it is sent: the answer may be faster than this goroutine.
	c.remember(r.Seq, r.ServiceMethod)
	err := c.out.write(func(w *jsonWriter) error {
		w.text(`{"method":`)
		w.quote(r.ServiceMethod)
		w.text(`,"params":[`)
		if err := w.value(body); err != nil {
			return err
		}
		w.text(`],"id":`)
		w.uint(r.Seq)
		w.text("}")
		return nil
	})
	if err != nil {
		c.forget(r.Seq)
	}
	return err
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

var errNoResult = errors.New("codec: the reply has neither a result nor an error")

func (c *jsonClient) ReadResponseHeader(r *rpc.Response) error {
	frame, err := c.in.next()
	if err != nil {
		return err
	}
	var id, failure []byte
	c.result = nil
	jsonMembers(frame, func(name, value []byte) {
		switch string(name) {
		case `"id"`:
			id = value
		case `"result"`:
			c.result = notNull(value)
		case `"error"`:
			failure = notNull(value)
		}
	})
	if r.Seq, err = c.seq(id, failure); err != nil {
		return c.in.end(err)
	}
	r.ServiceMethod, r.Error = c.forget(r.Seq), ""
	if failure != nil {
		r.Error = jsonErrorText(failure)
	}
	return nil
}

// seq reads the id of a reply. An error without one is a request that the peer
// could not read; it can be told whose it is if only one waits.
func (c *jsonClient) seq(id, failure []byte) (uint64, error) {
	if seq, ok := jsonSeq(id); ok {
		return seq, nil
	}
	if seq, ok := c.only(); ok && failure != nil {
		return seq, nil
	}
	if failure != nil {
		return 0, errors.New("codec: the peer refused a request without saying which: " + jsonErrorText(failure))
	}
	return 0, errors.New("codec: a reply has no id that a request had")
}

func (c *jsonClient) ReadResponseBody(body any) error {
	if body == nil {
		return nil
	}
	if c.result == nil {
		return &DecodeError{errNoResult}
	}
	return decodeJSON(c.result, body)
}

func (c *jsonClient) Close() error { return c.conn.Close() }

// jsonSeq reads an id of ours: a number, or the same in quotes, as some peers
// return it.
func jsonSeq(id []byte) (uint64, bool) {
	if len(id) > 1 && id[0] == '"' {
		id = id[1 : len(id)-1]
	}
	seq, err := strconv.ParseUint(string(id), 10, 64)
	return seq, err == nil
}

// jsonErrorText is the text of an error member, which is a string in net/rpc's
// dialect and anything at all elsewhere.
func jsonErrorText(failure []byte) string {
	var s string
	if json.Unmarshal(failure, &s) != nil {
		return string(failure)
	}
	if s == "" {
		return "unspecified error"
	}
	return s
}

func notNull(value []byte) []byte {
	if string(value) == "null" {
		return nil
	}
	return value
}

// decodeJSON decodes a value that was received whole. Panics of the decoders of
// the caller's own types become errors.
func decodeJSON(value []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &DecodeError{panicError("json", p)}
		}
	}()
	if err := json.Unmarshal(value, v); err != nil {
		return &DecodeError{err}
	}
	return nil
}
