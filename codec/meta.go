package codec

import (
	"fmt"
	"net/rpc"
	"sync/atomic"
	"time"
)

// MaxTraceState is the largest length of [Trace.State] in bytes. A longer one is neither
// sent nor accepted.
const MaxTraceState = 512

// RequestMeta has the metadata of a request. The zero value means none.
//
// Times in metadata are connection times: the time since the server has read the first
// request of the connection. So the clocks of client and server may differ. A client should
// count from just before it writes its first request. Then its connection time is never
// less than the server's, and [ResponseMeta.Clock] shows the difference.
type RequestMeta struct {
	// Deadline is the connection time after which the client does not wait for the
	// reply. It is sent in microseconds, rounded up. 0 or less means none.
	Deadline time.Duration
	// Retry says that the request is a retry or a hedge, or is made by a method that runs for
	// one. A call that its method makes should not be retried.
	Retry bool
	// Trace is the request's trace context.
	Trace Trace
	// Call asks the server to keep its answer until the client has it. It is the position of
	// the request among all requests of the connection, from 1, plus Pending. The server
	// counts requests, too, and so detects a changed bit in either field. 0 means that the
	// answer need not be kept; in a batch, Call and Pending are not read.
	Call uint64
	// Pending is the number of requests from the oldest one whose reply the client has not
	// read to this one: 0 if there is none before it. The server may forget the answers to
	// all requests before the oldest one.
	Pending uint64
}

// Trace is a W3C trace context, version 00. If TraceID or SpanID is zero, there is none.
//
// Source: https://www.w3.org/TR/trace-context/.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte // 1: sampled
	// State is the tracestate, printable ASCII of at most MaxTraceState bytes.
	State string
}

// IsValid reports whether there is a trace.
func (t *Trace) IsValid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// ResponseMeta has the metadata of a reply. The zero value means none.
type ResponseMeta struct {
	// Running is the number of requests running on the server when it replied, including
	// this one.
	Running int
	// NoRetry says that the method failed, and that a call that it made had failed in spite
	// of all retries. A retry of this request would multiply them.
	NoRetry bool
	// Clock is the connection time (see RequestMeta) at which the server had read the
	// request. It is sent in microseconds, and not in every reply. 0 means none.
	Clock time.Duration
}

// MetaSupport says whether a server supports metadata.
type MetaSupport uint32

const (
	// MetaUnknown: the client does not know yet.
	MetaUnknown MetaSupport = iota
	// MetaIgnored: the server does not support metadata.
	MetaIgnored
	// MetaUnderstood: the server supports metadata and cancellations.
	MetaUnderstood
)

// String returns "unknown", "ignored" or "understood".
func (s MetaSupport) String() string {
	switch s {
	case MetaUnknown:
		return "unknown"
	case MetaIgnored:
		return "ignored"
	case MetaUnderstood:
		return "understood"
	}
	return fmt.Sprintf("MetaSupport(%d)", uint32(s))
}

// MetaClient is implemented by the client codecs of this package. They send and accept
// metadata only after UseMeta has been called.
//
// In gob, metadata are additional fields of the header, which other peers skip. They are
// sent until the first reply shows that the server does not support them. A request
// without metadata is the same as net/rpc's, except for the type definition of the header.
//
// In JSON, metadata are the member "meta". They are sent only after SetMetaSupport(true),
// because a server may reject unknown members.
type MetaClient interface {
	rpc.ClientCodec
	// UseMeta enables metadata. It must be called before the first request.
	UseMeta()
	// MetaSupport says whether the server supports metadata. It may be called
	// concurrently.
	MetaSupport() MetaSupport
	// SetMetaSupport sets whether the server supports metadata, as it has announced in
	// its reply to a ping. In gob, the first reply sets it, too. It may be called
	// concurrently.
	SetMetaSupport(understood bool)
	// WriteRequestMeta is WriteRequest with metadata. m may be nil, and is not kept. In
	// JSON, the reply has metadata only if m is not nil.
	WriteRequestMeta(r *rpc.Request, m *RequestMeta, body any) error
	// ResponseMeta returns the metadata of the last reply. The reading goroutine may
	// call it after ReadResponseHeader.
	ResponseMeta() ResponseMeta
	// WriteCancel cancels the request with the number seq on the server. The
	// cancellation has no reply; the request may still get its own. Nothing is written
	// if the server is not known to support cancellations. WriteCancel must not be
	// called concurrently with WriteRequest. It does not use WriteFrame.
	WriteCancel(seq uint64) error
}

// MetaServer is implemented by the server codecs of this package. They accept and send
// metadata only after UseMeta has been called, and send them only to a client that supports
// them: in gob the type of its first request's header has metadata, and in JSON the request
// has some.
type MetaServer interface {
	rpc.ServerCodec
	// UseMeta enables metadata. It must be called before the first request is read. For
	// each cancellation, ReadRequestHeader calls canceled, which must not be nil, with the
	// number of the request, rpc.Request.Seq. The request may have been answered already.
	UseMeta(canceled func(seq uint64))
	// RequestMeta returns the metadata of the last request, or nil, and whether the
	// client accepts metadata in the reply. Malformed metadata are left out. The reading
	// goroutine may call it after ReadRequestHeader; m is valid until the next request is
	// read.
	RequestMeta() (m *RequestMeta, answers bool)
	// WriteResponseMeta is WriteResponse with metadata. m may be nil, and is not kept.
	// The metadata are left out if the client does not accept them.
	WriteResponseMeta(r *rpc.Response, m *ResponseMeta, body any) error
}

var (
	_ MetaClient = (*gobClient)(nil)
	_ MetaClient = (*jsonClient)(nil)
	_ MetaServer = (*gobServer)(nil)
	_ MetaServer = (*jsonServer)(nil)
)

// cancelMethod is the method of a message that cancels a request. It has no reply.
const cancelMethod = "rpcx.Cancel"

// metaPeer is a client codec's MetaSupport of its server.
type metaPeer struct{ support atomic.Uint32 }

// MetaSupport implements MetaClient.
func (p *metaPeer) MetaSupport() MetaSupport { return MetaSupport(p.support.Load()) }

// SetMetaSupport implements MetaClient.
func (p *metaPeer) SetMetaSupport(understood bool) {
	support := MetaIgnored
	if understood {
		support = MetaUnderstood
	}
	if p.MetaSupport() != support {
		p.support.Store(uint32(support))
	}
}

// microseconds converts a time to the unit on the wire. 0 means none.
func microseconds(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Microsecond) - 1) / uint64(time.Microsecond)
}

// fromMicroseconds converts a time from the unit on the wire. It returns 0 for a number that
// is out of range.
func fromMicroseconds(n uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	if n > most {
		return 0
	}
	return time.Duration(n) * time.Microsecond //nolint:gosec // it is in range
}

// traceState returns s if it is a valid tracestate, and otherwise "".
func traceState[T []byte | string](s T) string {
	if len(s) > MaxTraceState {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return string(s)
}
