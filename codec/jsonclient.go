package codec

import (
	"bytes"
	"errors"
	"io"
	"net/rpc"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// jsonClient is the client codec of both versions of JSON-RPC.
type jsonClient struct {
	metaPeer
	conn io.ReadWriteCloser
	in   jsonReader
	out  jsonWriter
	v2   bool
	wrap bool // JSON2.Wrap

	useMeta bool

	reply jsonReceived // the last reply

	send sync.Mutex // orders the writes of requests and notifications
	// notified says that a notification was sent. A reply without an id may then be the
	// reply to it.
	notified atomic.Bool

	pending jsonPending[string] // the methods of requests
}

// jsonReceived is a reply.
type jsonReceived struct {
	result    []byte // nil for null; in the reader's buffer
	hasResult bool
	failure   error // an *Error object, or an *ExchangeError in place of a reply
	refused   bool  // an error with a Refuser's mark
	syntaxErr error // json's error, if the reply is not valid JSON
	meta      ResponseMeta
}

func newJSONClient(conn io.ReadWriteCloser, max int64, limitName string) *jsonClient {
	c := &jsonClient{conn: conn}
	c.in.init(conn, max, limitName)
	c.in.scan.multiline = true
	c.out.init(requests(conn), max, limitName)
	return c
}

// WholeFrames implements the interface of the same name.
func (c *jsonClient) WholeFrames() {}

func (c *jsonClient) WriteRequest(r *rpc.Request, body any) error {
	return c.writeRequest(r, nil, body)
}

// writeRequest writes a request, with metadata unless m is nil.
func (c *jsonClient) writeRequest(r *rpc.Request, m *RequestMeta, body any) error {
	// Before the write, since the reply may arrive before the write returns.
	c.pending.put(r.Seq, r.ServiceMethod)
	c.send.Lock()
	defer c.send.Unlock()
	err := c.out.write(func(w *jsonWriter) error {
		if err := c.request(w, r.ServiceMethod, body); err != nil {
			return err
		}
		if m != nil {
			w.requestMeta(m)
		}
		w.text(`,"id":`)
		w.uint(r.Seq)
		w.text("}")
		return nil
	})
	if err != nil {
		c.pending.take(r.Seq)
	}
	return err
}

// writeUnframed writes a message that is no request.
func (c *jsonClient) writeUnframed(fill func(*jsonWriter) error) error {
	c.send.Lock()
	defer c.send.Unlock()
	framed := c.out.conn
	c.out.conn = c.conn
	defer func() { c.out.conn = framed }()
	return c.out.write(fill)
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

func (c *jsonClient) ReadResponseHeader(r *rpc.Response) error {
	c.reply = jsonReceived{} // it may be large, and the next one may arrive much later
	var m jsonReply
	seq, syntaxErr, err := c.next(&m)
	if end := exchangeError(err); end != nil {
		method, _ := c.pending.take(end.Seq)
		r.Seq, r.ServiceMethod, r.Error = end.Seq, method, end.Error()
		c.reply.failure = end
		return nil
	}
	if err != nil {
		return c.in.end(err)
	}
	method, _ := c.pending.take(seq)
	r.Seq, r.ServiceMethod, r.Error = seq, method, ""
	c.reply = jsonReceived{result: notNull(m.result), hasResult: m.result != nil, syntaxErr: syntaxErr}
	if c.useMeta && syntaxErr == nil {
		c.reply.meta.readJSON(m.meta)
	}
	if m.failure != nil && syntaxErr == nil {
		e, object := jsonError(m.failure)
		e.hint = c.hint(e, object)
		r.Error, c.reply.refused = e.Error(), c.in.mark.of(m.id)
		if object || c.v2 {
			c.reply.failure = e
		}
	}
	return nil
}

// hint returns what to change if an error shows that the server speaks the other version:
// a server of 2.0 requires the member jsonrpc, and net/rpc's server of 1.0 requires the
// argument in an array.
func (c *jsonClient) hint(e *Error, object bool) string {
	switch {
	case !c.v2 && object && e.Code == CodeInvalidRequest:
		return "if the server speaks JSON-RPC 2.0, use codec.NewJSON2Client"
	case c.v2 && !c.wrap && !object && strings.HasPrefix(e.Message, "json: cannot unmarshal "):
		return "if the server speaks JSON-RPC 1.0, use codec.JSON2{Wrap: true}.NewClient"
	}
	return ""
}

// next reads the next reply to a request of this client.
func (c *jsonClient) next(m *jsonReply) (seq uint64, syntaxErr, err error) {
	for {
		frame, syntaxErr, err := c.in.next()
		if err != nil {
			return 0, nil, err
		}
		if !m.read(frame, syntaxErr == nil, c.v2) {
			return 0, nil, errJSONStream
		}
		if m.request() {
			continue
		}
		if seq, err = c.seq(m); err != errIgnored { //nolint:errorlint // it is never wrapped
			return seq, syntaxErr, err
		}
	}
}

// jsonReply has the raw members of a reply; nil if absent.
type jsonReply struct {
	id, result []byte
	failure    []byte // the member error; nil if it means no error
	meta       []byte
	method     bool // has the member method
	ids        bool // has several ids that differ
}

// read reads the members of a message, which need not be valid JSON. It returns false if
// the members are ambiguous. Names of members are compared exactly in version 2.0, as it
// specifies, and as by encoding/json in version 1.0.
func (m *jsonReply) read(frame []byte, valid, exact bool) bool {
	*m = jsonReply{}
	if valid {
		for name, value := range jsonMembers(frame) {
			m.member(name, value, exact)
		}
	} else if !looseMembers(frame, func(name, value []byte) { m.member(name, value, exact) }) {
		return false
	}
	// Some peers always write an error: false, 0 or "" if there is none.
	if m.result != nil && (exact || notNull(m.result) != nil) {
		switch string(m.failure) {
		case "false", "0", `""`:
			m.failure = nil
		}
	}
	return true
}

func (m *jsonReply) member(name, value []byte, exact bool) {
	switch {
	case named(name, "id", exact):
		m.ids = m.ids || m.id != nil && !bytes.Equal(m.id, value)
		m.id = value
	case named(name, "result", exact):
		m.result = value
	case named(name, "error", exact):
		m.failure = notNull(value)
	case named(name, "method", exact):
		m.method = true
	case string(name) == "meta":
		m.meta = value
	}
}

// request reports whether the message is a request or a notification from the peer. The
// client ignores them.
func (m *jsonReply) request() bool { return m.method && m.result == nil && m.failure == nil }

func named(name []byte, want string, exact bool) bool {
	return string(name) == want || !exact && len(name) >= len(want) && bytes.EqualFold(name, []byte(want))
}

// errIgnored is the error of seq for a reply that is ignored.
var errIgnored = errors.New("codec: a reply to none of our requests")

// seq reads the id of a reply.
func (c *jsonClient) seq(m *jsonReply) (uint64, error) {
	switch seq, ok := jsonSeq(m.id); {
	case m.ids:
		return 0, errors.New("codec: a reply has several ids")
	case ok:
		return seq, nil
	case notNull(m.id) != nil:
		return 0, errors.New("codec: a reply has an id that no request had")
	}
	return c.seqWithoutID(m)
}

// seqWithoutID returns the request for a reply without an id; see JSON.NewClient. Such an
// error means that the peer could not read a request.
func (c *jsonClient) seqWithoutID(m *jsonReply) (uint64, error) {
	waiting, seq := c.pending.countAndOne()
	switch {
	case m.failure == nil && m.result == nil:
		return 0, errors.New("codec: a reply has neither an id, nor a result, nor an error")
	case waiting == 0 || c.notified.Load():
		return 0, errIgnored
	case m.failure == nil:
		return 0, errors.New("codec: a result has no id that a request had")
	case waiting == 1:
		return seq, nil
	}
	e, _ := jsonError(m.failure)
	return 0, errors.New("codec: the peer refused a request without saying which: " + e.Error())
}

// jsonSeq reads an id: a number, or the same number in quotes or as a float, as some peers
// return it.
func jsonSeq(id []byte) (uint64, bool) {
	id = bytes.TrimSuffix(unquoted(id), []byte(".0"))
	if len(id) > 1 && id[0] == '0' {
		return 0, false // the request's id had no leading zero
	}
	seq, err := strconv.ParseUint(string(id), 10, 64)
	return seq, err == nil
}

// ReadError implements ErrorReader.
func (c *jsonClient) ReadError() error { return c.reply.failure }

var errNoResult = errors.New("codec: the reply has neither a result nor an error")

func (c *jsonClient) ReadResponseBody(body any) error {
	if body == nil {
		return nil
	}
	result, err := c.result()
	if err != nil {
		return err
	}
	if raw, ok := body.(*RawReply); ok {
		result = bytes.Clone(result)
		raw.decode = func(v any) error { return decodeJSON(result, v) }
		return nil
	}
	return decodeJSON(result, body)
}

var jsonNull = []byte("null")

// result returns the result of the last reply, to be decoded.
func (c *jsonClient) result() ([]byte, error) {
	switch r := &c.reply; {
	case r.syntaxErr != nil:
		return nil, &DecodeError{r.syntaxErr}
	case r.result != nil:
		return r.result, nil
	case r.hasResult && c.v2: // null is a value in version 2.0
		return jsonNull, nil
	}
	return nil, &DecodeError{errNoResult}
}

// Cancel implements Canceler, if the connection does.
func (c *jsonClient) Cancel(seq uint64) bool {
	conn, ok := c.conn.(Canceler)
	return ok && conn.Cancel(seq)
}

func (c *jsonClient) Close() error { return c.conn.Close() }
