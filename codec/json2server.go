package codec

import (
	"encoding/json"
	"net/rpc"
)

// invalidCall returns the jsonCall of an invalid request, whose reply is an error.
func invalidCall(code int, reason string) jsonCall {
	return jsonCall{id: "null", code: code, reason: reason}
}

// elements returns the requests of a batch, or nil if there are none or too many.
func (s *jsonServer) elements(batch []byte) (requests [][]byte) {
	for e := range jsonElements(batch) {
		if s.maxBatch >= 0 && len(requests) == s.maxBatch {
			return nil
		}
		requests = append(requests, e)
	}
	return requests
}

// request2 reads a request or notification of version 2.0.
func (s *jsonServer) request2(frame []byte, r *rpc.Request) jsonCall {
	var m jsonRequest
	m.read(frame)
	if reason := m.invalidReason(frame); reason != "" {
		call := invalidCall(CodeInvalidRequest, "Invalid Request: "+reason)
		if m.id != nil && jsonIDAllowed(m.id) {
			call.id = string(m.id)
		}
		return call
	}
	json.Unmarshal(m.method, &r.ServiceMethod) //nolint:errcheck // it is a string
	s.params = m.params
	s.readMeta(m.meta)
	return jsonCall{id: string(m.id)}
}

// jsonRequest has the raw members of a request; nil if absent.
type jsonRequest struct {
	version, method, params, id, meta []byte
	reply                             bool // has a member of replies
}

func (m *jsonRequest) read(frame []byte) {
	for name, value := range jsonMembers(frame) {
		switch string(name) {
		case "jsonrpc":
			m.version = value
		case "method":
			m.method = value
		case "params":
			m.params = notNull(value)
		case "id":
			m.id = value
		case "meta":
			m.meta = value
		case "result", "error":
			m.reply = true
		}
	}
}

// invalidReason returns why the message is not a valid request, or "" if it is.
func (m *jsonRequest) invalidReason(frame []byte) string {
	switch {
	case frame[0] != '{':
		return "not an object"
	case !m.version2():
		return `jsonrpc is not "2.0"`
	case len(m.method) == 0 || m.method[0] != '"':
		return "method is not a string"
	case m.reply:
		return "a reply's members"
	case m.params != nil && m.params[0] != '{' && m.params[0] != '[':
		return "params is neither an object nor an array"
	case m.id != nil && !jsonIDAllowed(m.id):
		return "id is not a string, a number or null"
	}
	return ""
}

// version2 reports whether the version is 2.0. It accepts a number, too.
func (m *jsonRequest) version2() bool {
	switch string(m.version) {
	case `"2.0"`, "2.0", "2":
		return true
	}
	return false
}

func jsonIDAllowed(id []byte) bool {
	switch id[0] {
	case '{', '[', 't', 'f':
		return false
	}
	return true
}

// reply2 appends a reply of version 2.0.
func reply2(w *jsonWriter, call *jsonCall, failure string, result any) error {
	code := call.code
	if code == 0 {
		code = CodeServerError
	}
	if call.reason != "" {
		failure = call.reason
	}
	if failure != "" {
		w.text(`{"jsonrpc":"2.0","error":{"code":`)
		w.int(code)
		w.text(`,"message":`)
		w.quote(failure)
		w.text(`},"id":`)
	} else {
		w.text(`{"jsonrpc":"2.0","result":`)
		if err := w.value(result); err != nil {
			return err
		}
		w.text(`,"id":`)
	}
	w.raw([]byte(call.id))
	call.end(w)
	return nil
}

// jsonBatch collects the replies to a batch. The server codec's send protects it.
type jsonBatch struct {
	left    int // requests without a reply
	replies []byte
}

// batchReserve is the space that a result must leave for each outstanding reply, so
// that there is space for an error.
const batchReserve = 256

// collect adds a reply to its batch, and sends the batch when it is complete. If the reply
// cannot be encoded or is too large, it adds an error in its place.
func (s *jsonServer) collect(call *jsonCall, r *rpc.Response, body any) error {
	b := call.batch
	b.left--
	if call.id != "" {
		if err := s.addToBatch(b, call, r.Error, body); err != nil {
			call.replace(&EncodeError{err})
			s.addToBatch(b, call, call.replaced.Error(), nil) //nolint:errcheck // there is space for an error
		}
	}
	if b.left > 0 || b.replies == nil {
		return nil
	}
	return s.answer(&jsonCall{id: "null"}, func(w *jsonWriter) error {
		w.out = append(w.out, b.replies...)
		w.text("]")
		return nil
	})
}

func (s *jsonServer) addToBatch(b *jsonBatch, call *jsonCall, failure string, body any) error {
	w := &s.out
	defer w.reset()
	if err := s.reply(w, call, failure, body); err != nil {
		return err
	}
	size := int64(len(b.replies) + len(w.out) + len("[]\n"))
	if failure == "" && size+int64(b.left)*batchReserve > w.max {
		return &FrameError{Size: size, Max: w.max, limitName: w.limitName}
	}
	separator := byte(',')
	if b.replies == nil {
		separator = '['
	}
	b.replies = append(append(b.replies, separator), w.out...)
	return nil
}
