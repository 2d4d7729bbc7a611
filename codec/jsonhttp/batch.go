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

// batch has the JSON-RPC requests of one HTTP request, mostly one. Each is read and run in
// its own goroutine. net/rpc's ServeCodec would run it in a goroutine whose panics cannot
// be recovered.
type batch struct {
	server  *rpc.Server
	log     *slog.Logger
	codec   rpc.ServerCodec
	running sync.WaitGroup
	replies bytes.Buffer // written under the codec's lock
}

// run runs the requests in body and returns the reply.
func (b *batch) run(c codec.JSON2, body []byte) []byte {
	b.codec = c.NewServer(stream{bytes.NewReader(body), &b.replies})
	b.running.Go(b.work)
	b.running.Wait()
	return b.replies.Bytes()
}

// work reads one request and runs it.
func (b *batch) work() {
	q := &request{batch: b, ServerCodec: b.codec}
	defer q.end()
	b.server.ServeRequest(q) //nolint:errcheck // the client gets the error
	q.returned = true
}

// stream is the codec's connection.
type stream struct {
	io.Reader
	io.Writer
}

// Close implements io.Closer. There is nothing to close.
func (stream) Close() error { return nil }

// request is the codec of net/rpc's server for one request.
type request struct {
	rpc.ServerCodec
	batch    *batch
	header   rpc.Request
	read     bool // the whole request has been read
	answered bool // WriteResponse has been called
	returned bool // net/rpc's server has returned
}

// ReadRequestHeader implements rpc.ServerCodec.
func (q *request) ReadRequestHeader(r *rpc.Request) error {
	err := q.ServerCodec.ReadRequestHeader(r)
	q.header = *r
	return err
}

// ReadRequestBody implements rpc.ServerCodec. If another request follows, it starts a
// goroutine for it.
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

// end sends an error if the method has panicked or ended its goroutine.
func (q *request) end() {
	if q.returned {
		return
	}
	reason := recover()
	q.batch.log.Error("rpc method did not return", "method", q.header.ServiceMethod, "panic", reason, "stack", string(debug.Stack()))
	if q.read && !q.answered {
		// The client does not get the details, which are in the log.
		r := &rpc.Response{ServiceMethod: q.header.ServiceMethod, Seq: q.header.Seq, Error: "jsonhttp: the method panicked"}
		q.ServerCodec.WriteResponse(r, struct{}{}) //nolint:errcheck // a write to memory
	}
}
