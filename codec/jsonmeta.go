package codec

import (
	"encoding/hex"
	"encoding/json"
	"net/rpc"
	"strconv"
)

// In JSON, metadata are an object, the member "meta" of a request or a reply:
//
//	request   deadline     microseconds
//	          retry        true
//	          traceparent  a string, as in HTTP's header of that name
//	          tracestate   likewise
//	          call         a number
//	          pending      a number
//	reply     noretry      true
//	          running      a number
//	          clock        microseconds
//
// Members that are malformed or unknown are ignored, and so are call and pending in a batch.

// requestMeta appends the metadata of a request.
func (w *jsonWriter) requestMeta(m *RequestMeta) {
	o := w.meta()
	o.number("deadline", microseconds(m.Deadline))
	if m.Retry {
		o.name("retry")
		w.text("true")
	}
	if m.Trace.IsValid() {
		o.name("traceparent")
		w.quote(m.Trace.parent())
		o.string("tracestate", traceState(m.Trace.State))
	}
	o.number("call", m.Call)
	o.number("pending", m.Pending)
	o.end()
}

// responseMeta appends the metadata of a reply.
func (w *jsonWriter) responseMeta(m *ResponseMeta) {
	o := w.meta()
	if m.NoRetry {
		o.name("noretry")
		w.text("true")
	}
	o.number("running", uint64(max(0, m.Running))) //nolint:gosec // it is not negative
	o.number("clock", microseconds(m.Clock))
	o.end()
}

// jsonObject appends the members of an object that are not zero.
type jsonObject struct {
	w         *jsonWriter
	separator string
}

// meta begins the member "meta".
func (w *jsonWriter) meta() jsonObject {
	w.text(`,"meta":{`)
	return jsonObject{w, `"`}
}

func (o *jsonObject) end() { o.w.text("}") }

func (o *jsonObject) name(name string) {
	o.w.text(o.separator)
	o.separator = `,"`
	o.w.text(name)
	o.w.text(`":`)
}

func (o *jsonObject) number(name string, n uint64) {
	if n != 0 {
		o.name(name)
		o.w.uint(n)
	}
}

func (o *jsonObject) string(name, s string) {
	if s != "" {
		o.name(name)
		o.w.quote(s)
	}
}

// readJSON reads the metadata of a request.
func (m *RequestMeta) readJSON(object []byte) {
	for name, value := range jsonMembers(object) {
		switch string(name) {
		case "deadline":
			m.Deadline = fromMicroseconds(jsonUint(value))
		case "retry":
			m.Retry = string(value) == "true"
		case "traceparent":
			m.Trace.setParent(jsonString(value))
		case "tracestate":
			m.Trace.State = traceState(jsonString(value))
		case "call":
			m.Call = jsonUint(value)
		case "pending":
			m.Pending = jsonUint(value)
		}
	}
}

// readJSON reads the metadata of a reply.
func (m *ResponseMeta) readJSON(object []byte) {
	for name, value := range jsonMembers(object) {
		switch string(name) {
		case "noretry":
			m.NoRetry = string(value) == "true"
		case "running":
			m.Running = int(min(jsonUint(value), 1<<31-1)) //nolint:gosec // it is in range
		case "clock":
			m.Clock = fromMicroseconds(jsonUint(value))
		}
	}
}

// jsonUint returns a number, or 0 if the value is none.
func jsonUint(value []byte) uint64 {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// jsonString returns a string, or "" if the value is none or is longer than any metadata.
func jsonString(value []byte) (s string) {
	if len(value) <= 6*MaxTraceState+2 && json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// parent returns the traceparent of a trace.
func (t *Trace) parent() string {
	b := hex.AppendEncode([]byte("00-"), t.TraceID[:])
	b = hex.AppendEncode(append(b, '-'), t.SpanID[:])
	return string(hex.AppendEncode(append(b, '-'), []byte{t.Flags}))
}

// setParent reads a traceparent of any version. That of a later version may be longer.
func (t *Trace) setParent(s string) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" ||
		len(s) > length && (s[:2] == "00" || s[length] != '-') {
		return
	}
	b, err := hex.DecodeString(s[:2] + s[3:35] + s[36:52] + s[53:55])
	if err == nil {
		t.setID(b[1:])
	}
}

// UseMeta implements MetaClient.
func (c *jsonClient) UseMeta() { c.useMeta = true }

// WriteRequestMeta implements MetaClient.
func (c *jsonClient) WriteRequestMeta(r *rpc.Request, m *RequestMeta, body any) error {
	if !c.useMeta || c.MetaSupport() != MetaUnderstood {
		m = nil
	}
	return c.writeRequest(r, m, body)
}

// ResponseMeta implements MetaClient.
func (c *jsonClient) ResponseMeta() ResponseMeta { return c.reply.meta }

// WriteCancel implements MetaClient: a notification, with the id of the request.
func (c *jsonClient) WriteCancel(seq uint64) error {
	if !c.useMeta || c.MetaSupport() != MetaUnderstood {
		return nil
	}
	return c.writeUnframed(func(w *jsonWriter) error {
		if c.v2 {
			w.text(`{"jsonrpc":"2.0","method":"` + cancelMethod + `","params":[`)
			w.uint(seq)
			w.text("]}")
			return nil
		}
		w.text(`{"method":"` + cancelMethod + `","params":[`)
		w.uint(seq)
		w.text(`],"id":null}`)
		return nil
	})
}

// UseMeta implements MetaServer.
func (s *jsonServer) UseMeta(canceled func(seq uint64)) { s.canceled = canceled }

// RequestMeta implements MetaServer.
func (s *jsonServer) RequestMeta() (m *RequestMeta, answers bool) {
	if s.answersMeta {
		m = &s.meta
	}
	return m, s.answersMeta
}

// readMeta reads the metadata of a request, if they are in use.
func (s *jsonServer) readMeta(object []byte) {
	if s.canceled != nil && object != nil && object[0] == '{' {
		s.answersMeta = true
		s.meta.readJSON(object)
	}
}

// isCancel reports whether the request that was read last is a cancellation.
func (s *jsonServer) isCancel(call *jsonCall, r *rpc.Request) bool {
	return s.canceled != nil && r.ServiceMethod == cancelMethod && call.batch == nil &&
		call.id == s.noID()
}

// noID is the id of a notification.
func (s *jsonServer) noID() string {
	if s.v2 {
		return ""
	}
	return "null"
}

// cancel cancels the request whose id is the parameter of the last message, if the request
// is pending.
func (s *jsonServer) cancel() {
	if s.params == nil || s.params[0] != '[' {
		return
	}
	id, _ := jsonToken(s.params[1:])
	if seq, ok := s.pending.find(func(call *jsonCall) bool { return call.id == string(id) }); ok {
		s.canceled(seq)
	}
}
