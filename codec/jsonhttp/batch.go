package jsonhttp

import (
	"bytes"
	"io"
	"log/slog"
	"net/rpc"
	"runtime/debug"
	"sync"

	"resilientrpc/codec"
)

// batch is the requests of one HTTP request, mostly one. Each runs in a goroutine of
// its own, which is where it was read: net/rpc's ServeCodec would run it in one in
// which a panic cannot be caught.
type batch struct {
	server  *rpc.Server
	log     *slog.Logger
	codec   rpc.ServerCodec
	running sync.WaitGroup
	replies bytes.Buffer // written under the codec's lock
}

// carryOut returns the reply to what is in body.
func (b *batch) carryOut(c codec.JSON2, body []byte) []byte {
	b.codec = c.NewServer(stream{bytes.NewReader(body), &b.replies})
	b.running.Go(b.work)
	b.running.Wait()
	return b.replies.Bytes()
}

// work reads one request and runs it.
func (b *batch) work() {
	q := &request{batch: b, ServerCodec: b.codec}
	defer q.end()
	b.server.ServeRequest(q) //nolint:errcheck // what there is to say, the client is told
	q.returned = true
}

// stream is the connection that the codec sees.
type stream struct {
	io.Reader
	io.Writer
}

// Close implements io.Closer. There is nothing to close.
func (stream) Close() error { return nil }

// request is the codec that net/rpc's server sees for one request.
type request struct {
	rpc.ServerCodec
	batch    *batch
	header   rpc.Request
	read     bool // all of it was
	answered bool // or at least tried
	returned bool // from net/rpc's server
}

// ReadRequestHeader implements rpc.ServerCodec.
func (q *request) ReadRequestHeader(r *rpc.Request) error {
	err := q.ServerCodec.ReadRequestHeader(r)
	q.header = *r
	return err
}

// ReadRequestBody implements rpc.ServerCodec. The next request is read while this
// one runs.
func (q *request) ReadRequestBody(body any) error {
	err := q.ServerCodec.ReadRequestBody(body)
	q.read = true
	if ahead, ok := q.ServerCodec.(codec.ReadAhead); ok && ahead.ReadAhead() {
		q.batch.running.Go(q.batch.work)
	}
	return err
}

// WriteResponse implements rpc.ServerCodec.
func (q *request) WriteResponse(r *rpc.Response, body any) error {
	q.answered = true
	return q.ServerCodec.WriteResponse(r, body)
}

// end answers a request whose method did not return.
func (q *request) end() {
	if q.returned {
		return
	}
	reason := recover()
	q.batch.log.Error("rpc method did not return", "method", q.header.ServiceMethod, "panic", reason, "stack", string(debug.Stack()))
	if q.read && !q.answered {
		// The details are the server's own business.
		r := &rpc.Response{ServiceMethod: q.header.ServiceMethod, Seq: q.header.Seq, Error: "jsonhttp: the method panicked"}
		q.ServerCodec.WriteResponse(r, struct{}{}) //nolint:errcheck // it is written to memory
	}
}
