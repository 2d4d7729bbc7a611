package codec

import "net/rpc"

// The headers with metadata. A net/rpc peer skips the fields that it does not know. A peer
// of this package recognizes the type by its field Meta, which has flags.
type (
	gobRequest struct {
		ServiceMethod string
		Seq           uint64
		Meta          uint64
		Deadline      uint64 // microseconds
		Trace         []byte // TraceID, SpanID and Flags
		State         string
		Call          uint64
		Pending       uint64
	}
	gobResponse struct {
		ServiceMethod string
		Seq           uint64
		Error         string
		Meta          uint64
		Running       uint64
		Clock         uint64 // microseconds
	}
)

// The flags in Meta: RequestMeta.Retry in a request, ResponseMeta.NoRetry in a reply.
const (
	gobRetry   = 1
	gobNoRetry = 1
)

// gobTraceLen is the length of gobRequest.Trace.
const gobTraceLen = 16 + 8 + 1

// metaRole returns the role of a field in a header with metadata, or headerOther if it has
// none or has the wrong type.
func metaRole(name []byte, id int64) headerField {
	role, want := headerOther, int64(gobUint)
	switch string(name) {
	case "Meta":
		role = metaFlags
	case "Deadline":
		role = metaDeadline
	case "Trace":
		role, want = metaTrace, gobBytes
	case "State":
		role, want = metaState, gobString
	case "Call":
		role = metaCall
	case "Pending":
		role = metaPending
	case "Running":
		role = metaRunning
	case "Clock":
		role = metaClock
	}
	if id != want {
		return headerOther
	}
	return role
}

// gobMeta are the metadata of the last header that a gobReader has read.
type gobMeta struct {
	use      bool // UseMeta was called; else metadata are skipped
	declared bool // the header's type has metadata
	any      bool // the header has metadata
	request  RequestMeta
	response ResponseMeta
}

// begin prepares for the next header, of type t.
func (m *gobMeta) begin(t *gobType) {
	m.declared = m.use && t.meta
	if m.any {
		m.any, m.request, m.response = false, RequestMeta{}, ResponseMeta{}
	}
}

// read reads the value of a field. It ignores an invalid value.
func (m *gobMeta) read(c *cursor, role headerField) {
	m.any = true
	switch role {
	case metaFlags:
		flags := c.uint()
		m.request.Retry, m.response.NoRetry = flags&gobRetry != 0, flags&gobNoRetry != 0
	case metaDeadline:
		m.request.Deadline = fromMicroseconds(c.uint())
	case metaTrace:
		m.request.Trace.setID(c.bytes())
	case metaState:
		m.request.Trace.State = traceState(c.bytes())
	case metaCall:
		m.request.Call = c.uint()
	case metaPending:
		m.request.Pending = c.uint()
	case metaRunning:
		m.response.Running = int(min(c.uint(), 1<<31-1)) //nolint:gosec // it is in range
	case metaClock:
		m.response.Clock = fromMicroseconds(c.uint())
	}
}

func (t *Trace) setID(b []byte) {
	if len(b) == gobTraceLen {
		t.TraceID, t.SpanID, t.Flags = [16]byte(b), [8]byte(b[16:]), b[24]
	}
}

// fields appends the metadata of a request to a header.
func (m *RequestMeta) fields(h *gobFields) {
	if m.Retry {
		h.uint(3, gobRetry)
	}
	h.uint(4, microseconds(m.Deadline))
	if m.Trace.IsValid() {
		h.field(5)
		h.b = appendUint(h.b, gobTraceLen)
		h.b = append(append(append(h.b, m.Trace.TraceID[:]...), m.Trace.SpanID[:]...), m.Trace.Flags)
		h.string(6, traceState(m.Trace.State))
	}
	h.uint(7, m.Call)
	h.uint(8, m.Pending)
}

// fields appends the metadata of a reply to a header.
func (m *ResponseMeta) fields(h *gobFields) {
	if m.NoRetry {
		h.uint(4, gobNoRetry)
	}
	h.uint(5, uint64(max(0, m.Running))) //nolint:gosec // it is not negative
	h.uint(6, microseconds(m.Clock))
}

// UseMeta implements MetaClient.
func (c *gobClient) UseMeta() {
	c.in.meta.use = true
	c.out.define(gobRequest{})
}

// WriteRequestMeta implements MetaClient.
func (c *gobClient) WriteRequestMeta(r *rpc.Request, m *RequestMeta, body any) error {
	if !c.in.meta.use || c.MetaSupport() == MetaIgnored {
		m = nil
	}
	return c.out.write(gobHeader{method: r.ServiceMethod, seq: r.Seq, request: m}, body)
}

// ResponseMeta implements MetaClient.
func (c *gobClient) ResponseMeta() ResponseMeta { return c.in.meta.response }

// WriteCancel implements MetaClient: a request of cancelMethod, with the number of the one
// that it cancels.
func (c *gobClient) WriteCancel(seq uint64) error {
	if c.MetaSupport() != MetaUnderstood {
		return nil
	}
	framed := c.out.conn
	c.out.conn = c.conn
	defer func() { c.out.conn = framed }()
	return c.out.write(gobHeader{method: cancelMethod, seq: seq}, false)
}

// UseMeta implements MetaServer.
func (s *gobServer) UseMeta(canceled func(seq uint64)) {
	s.in.meta.use, s.canceled = true, canceled
}

// RequestMeta implements MetaServer.
func (s *gobServer) RequestMeta() (m *RequestMeta, answers bool) {
	if s.in.meta.any {
		m = &s.in.meta.request
	}
	return m, s.answersMeta.Load()
}

// WriteResponseMeta implements MetaServer.
func (s *gobServer) WriteResponseMeta(r *rpc.Response, m *ResponseMeta, body any) error {
	s.send.Lock()
	defer s.send.Unlock()
	return s.write(gobHeader{method: r.ServiceMethod, seq: r.Seq, errmsg: r.Error, response: m}, body)
}
