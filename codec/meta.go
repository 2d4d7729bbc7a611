package codec

import (
	"fmt"
	"net/rpc"
	"sync/atomic"
	"time"
)

// MaxTraceState is the length of the longest [Trace.State] in bytes. A longer one is
// neither sent nor accepted.
const MaxTraceState = 512

// RequestMeta is the metadata of a request. Its zero value says nothing.
//
// Times in metadata are those of the connection: they begin with 0 when the server has
// read the first request. The clocks of the two ends need not agree. A client that counts
// from just before it writes its first request is never behind: it can only take the
// server's time for later than it is. [ResponseMeta.Clock] tells it by how much.
type RequestMeta struct {
	// Deadline is the time of the connection from which on nobody waits for the reply, in
	// units of a microsecond, rounded up; 0 or less is none.
	Deadline time.Duration
	// Retry says that the caller is itself a repetition, whose requests are not to be
	// repeated further.
	Retry bool
	// Trace is the trace that the request belongs to.
	Trace Trace
	// Session identifies the client, by random bits; zero if it has no session.
	Session [16]byte
	// Call is the number of the call in its session, which all attempts have; 0 is none.
	Call uint64
}

// Trace is a W3C trace context, version 00. Without a TraceID and a SpanID it is none.
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

// ResponseMeta is the metadata of a reply. Its zero value says nothing.
type ResponseMeta struct {
	// Running is how many requests ran on the server when it replied, this one included.
	Running int
	// NoRetry says that the method failed although it, or a service behind it, has made all
	// the attempts that there may be: to repeat the request would multiply them.
	NoRetry bool
	// Clock is the time of the connection (see RequestMeta) at which the server had read
	// the request, in units of a microsecond. A server need not send it each time.
	Clock time.Duration
}

// MetaSupport says what is known of a server.
type MetaSupport uint32

const (
	// MetaUnknown: the server has not shown yet what it understands.
	MetaUnknown MetaSupport = iota
	// MetaIgnored: the server does not understand metadata.
	MetaIgnored
	// MetaUnderstood: it does, and cancellations, too.
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

// MetaClient is implemented by the client codecs of this package. Until UseMeta has been
// called, they send and receive what net/rpc's do. Without metadata, a request is the same
// with it, but for gob's definition of the header's type, once.
//
// In gob, metadata are fields of the header that other peers skip, so that they are sent
// to any server, until its first reply shows that it does not understand them. In JSON
// they are the member "meta", and are sent once SetMetaSupport has been called, since a
// server may refuse a member that it does not know.
type MetaClient interface {
	rpc.ClientCodec
	// UseMeta is called before the first request.
	UseMeta()
	// MetaSupport says what is known of the server. It may be called concurrently.
	MetaSupport() MetaSupport
	// SetMetaSupport says that the server understands metadata, as it has announced in an
	// answer to a ping, or does not. It may be called concurrently. In gob, the first reply
	// says the same.
	SetMetaSupport(understood bool)
	// WriteRequestMeta is WriteRequest with metadata, which may be nil. In JSON, metadata
	// that are not nil ask for those of the reply. It keeps nothing of m.
	WriteRequestMeta(r *rpc.Request, m *RequestMeta, body any) error
	// ResponseMeta returns the metadata of the reply whose header was read last. The
	// goroutine that reads may call it.
	ResponseMeta() ResponseMeta
	// WriteCancel tells the server that nobody waits for the reply to the request with the
	// number seq. Nothing comes back, and the reply still may. It counts as a request for
	// what may be called concurrently, but not for a FrameWriter. Nothing is written unless
	// the server is known to understand it.
	WriteCancel(seq uint64) error
}

// MetaServer is implemented by the server codecs of this package. Until UseMeta has been
// called, they receive and send what net/rpc's do; and in any case to a client that does
// not show that it understands metadata: in gob by the type of its first request's header, in JSON
// by the metadata of the request concerned.
type MetaServer interface {
	rpc.ServerCodec
	// UseMeta is called before the first request is read. From then on, canceled is called
	// for a cancellation with the number of the request, rpc.Request.Seq, by the goroutine
	// that reads, within ReadRequestHeader. The request may have been answered already.
	UseMeta(canceled func(seq uint64))
	// RequestMeta returns the metadata of the request whose header was read last, nil if it
	// has none, and whether its client takes metadata of the reply. The goroutine that reads
	// may call it; m is valid until it reads on. Malformed metadata are left out, each by itself.
	RequestMeta() (m *RequestMeta, answers bool)
	// WriteResponseMeta is WriteResponse with metadata, which may be nil and are left out if
	// the client does not take them. It keeps nothing of m.
	WriteResponseMeta(r *rpc.Response, m *ResponseMeta, body any) error
}

var (
	_ MetaClient = (*gobClient)(nil)
	_ MetaClient = (*jsonClient)(nil)
	_ MetaServer = (*gobServer)(nil)
	_ MetaServer = (*jsonServer)(nil)
)

// cancelMethod is the method of a message that cancels a request. It is no call: nothing
// answers it.
const cancelMethod = "rpcx.Cancel"

// metaPeer is what a client codec knows of its server.
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

// microseconds is a time as it is sent: 0 is none.
func microseconds(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Microsecond) - 1) / uint64(time.Microsecond)
}

// fromMicroseconds is a time as it was received, or none if it is out of range.
func fromMicroseconds(n uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	if n > most {
		return 0
	}
	return time.Duration(n) * time.Microsecond //nolint:gosec // it is in range
}

// traceState is a tracestate as it is sent, or was received: empty unless it is well-formed.
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
