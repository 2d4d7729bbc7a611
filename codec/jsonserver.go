package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/rpc"
	"sync"
)

// jsonServer is the server codec of both versions of JSON-RPC.
//
// The codec passes an invalid message to net/rpc's server as a request without a method.
// The server replies with an error, and WriteResponse replaces that error. So the server
// makes all replies, and the order of replies is that of net/rpc.
type jsonServer struct {
	conn     io.ReadWriteCloser
	in       jsonReader
	v2       bool
	maxBatch int // JSON2.MaxBatch

	canceled func(seq uint64) // nil without metadata

	// The request that was read last. Its bytes are in the reader's buffer.
	params      []byte
	meta        RequestMeta
	answersMeta bool // the request has metadata, so the reply may have some
	seq         uint64
	rest        [][]byte   // the following requests of the batch
	batch       *jsonBatch // the batch of rest

	send sync.Mutex // protects following, and the order of replies
	out  jsonWriter

	pending jsonPending[jsonCall]

	once sync.Once // closes conn
	err  error     // what closing it returned
}

// jsonCall is a pending request.
type jsonCall struct {
	id      string     // the raw id; empty if the request gets no reply
	batch   *jsonBatch // nil if the request is not in a batch
	code    int        // code of an error that the codec has found; 0 if none
	reason  string     // message of that error; empty for the server's message
	refused bool       // the reply has a Refuser's mark
	answers bool       // the reply may have metadata
	meta    *ResponseMeta

	replaced error // the error that is sent in place of the reply, or nil
}

// end appends the end of a reply.
func (c *jsonCall) end(w *jsonWriter) {
	if c.answers && c.meta != nil {
		w.responseMeta(c.meta)
	}
	w.text("}")
}

func newJSONServer(conn io.ReadWriteCloser, max int64, limitName string) *jsonServer {
	s := &jsonServer{conn: conn}
	s.in.init(conn, max, limitName)
	s.out.init(conn, max, limitName)
	return s
}

func (s *jsonServer) ReadRequestHeader(r *rpc.Request) error {
	call, err := s.next(r)
	for err == nil && s.isCancel(&call, r) {
		s.cancel()
		call, err = s.next(r)
	}
	if err != nil {
		return err
	}
	call.answers = s.answersMeta
	r.ServiceMethod = methodName(r.ServiceMethod)
	s.seq++
	r.Seq = s.seq
	s.pending.put(s.seq, call)
	return nil
}

// next reads a request. For an invalid message it returns a jsonCall with an error.
func (s *jsonServer) next(r *rpc.Request) (jsonCall, error) {
	r.ServiceMethod, s.params = "", nil
	s.meta, s.answersMeta = RequestMeta{}, false
	for len(s.rest) == 0 {
		s.rest, s.batch = nil, nil
		frame, malformed, err := s.frame()
		switch {
		case err != nil:
			return jsonCall{}, err
		case malformed:
			return invalidCall(CodeParseError, "Parse error"), nil
		case !s.v2:
			return s.request(frame, r), nil
		case frame[0] == '{':
			return s.request2(frame, r), nil
		}
		if s.rest = s.elements(frame); s.rest == nil {
			return invalidCall(CodeInvalidRequest, "Invalid Request: the batch is empty or too long"), nil
		}
		s.batch = &jsonBatch{left: len(s.rest)}
	}
	one := s.rest[0]
	s.rest = s.rest[1:]
	call := s.request2(one, r)
	call.batch = s.batch
	s.meta.Call, s.meta.Pending = 0, 0 // a reply that waits for others is not kept
	return call, nil
}

// frame receives a message, or reports malformed input, whose reply is a parse error.
// Malformed input ends the stream: it may be HTTP from a browser, with a body that a third
// party has chosen. A single line with balanced brackets does not end the stream, because
// HTTP does not begin with one.
func (s *jsonServer) frame() (frame []byte, malformed bool, err error) {
	if s.in.err != nil {
		return nil, false, s.in.err
	}
	frame, syntaxErr, err := s.in.next()
	if syntaxErr != nil && (!s.v2 || bytes.IndexByte(frame, '\n') >= 0) {
		err = s.in.end(errJSONStream)
	}
	if s.v2 && (syntaxErr != nil || err == errJSONStream) { //nolint:errorlint // made here, never wrapped
		return nil, true, nil
	}
	return frame, false, err
}

// request reads a request of version 1.0. It accepts an invalid one, for which the server
// returns an error.
func (s *jsonServer) request(frame []byte, r *rpc.Request) jsonCall {
	call := jsonCall{id: "null"}
	for name, value := range jsonMembers(frame) {
		switch {
		case named(name, "method", false):
			json.Unmarshal(value, &r.ServiceMethod) //nolint:errcheck // it stays empty
		case named(name, "params", false):
			s.params = notNull(value)
		case named(name, "id", false):
			call.id = string(value)
		case string(name) == "meta":
			s.readMeta(value)
		}
	}
	return call
}

var errNoParams = errors.New("jsonrpc: request body missing params") // net/rpc/jsonrpc's words

func (s *jsonServer) ReadRequestBody(body any) error {
	if body == nil { // the server has no such method
		s.setCode(CodeMethodNotFound)
		return nil
	}
	var err error
	switch {
	case s.v2:
		err = decodeParams(s.params, body)
	case s.params == nil:
		err = &DecodeError{errNoParams}
	default:
		err = unmarshal(owned(s.params, body), &[1]any{body})
	}
	if err != nil {
		s.setCode(CodeInvalidParams)
	}
	return err
}

// ReadAhead implements the interface of the same name.
func (s *jsonServer) ReadAhead() bool { return len(s.rest) > 0 || s.in.ahead() }

// setCode sets the error code of the request read last, unless it is set.
func (s *jsonServer) setCode(code int) {
	s.pending.update(s.seq, func(call *jsonCall) {
		if call.code == 0 {
			call.code = code
		}
	})
}

func (s *jsonServer) WriteResponse(r *rpc.Response, body any) error {
	return s.WriteResponseMeta(r, nil, body)
}

// WriteResponseMeta implements MetaServer.
func (s *jsonServer) WriteResponseMeta(r *rpc.Response, m *ResponseMeta, body any) error {
	call, ok := s.pending.take(r.Seq)
	if !ok {
		return errors.New("codec: reply to a request that does not wait for one")
	}
	call.meta = m
	s.send.Lock()
	defer s.send.Unlock()
	var err error
	switch {
	case call.batch != nil:
		err = s.collect(&call, r, body)
	case call.id != "":
		err = s.answer(&call, func(w *jsonWriter) error { return s.reply(w, &call, r.Error, body) })
	}
	if err != nil {
		s.Close() //nolint:errcheck // the write's error says more
		return err
	}
	return call.replaced
}

// answer sends the reply that fill appends or, if that cannot be encoded, an error.
func (s *jsonServer) answer(call *jsonCall, fill func(*jsonWriter) error) error {
	err := s.out.write(fill)
	encode := (*EncodeError)(nil)
	if !errors.As(err, &encode) {
		return err
	}
	call.replace(encode)
	return s.out.write(func(w *jsonWriter) error { return s.reply(w, call, call.replaced.Error(), nil) })
}

// replace notes that the reply cannot be encoded, and makes the error that takes its place.
func (c *jsonCall) replace(err *EncodeError) {
	c.code, c.replaced = CodeInternalError, unencodable(err)
}

// reply appends a reply: the error if there is one, else the result.
func (s *jsonServer) reply(w *jsonWriter, call *jsonCall, failure string, result any) error {
	if call.refused && call.batch == nil {
		w.mark([]byte(call.id))
	}
	switch {
	case s.v2:
		return reply2(w, call, failure, result)
	case failure != "":
		w.text(`{"id":`)
		w.raw([]byte(call.id))
		w.text(`,"result":null,"error":`)
		w.quote(failure)
	default:
		w.text(`{"id":`)
		w.raw([]byte(call.id))
		w.text(`,"result":`)
		if err := w.value(result); err != nil {
			return err
		}
		w.text(`,"error":null`)
	}
	call.end(w)
	return nil
}

func (s *jsonServer) Close() error {
	s.once.Do(func() { s.err = s.conn.Close() })
	return s.err
}
