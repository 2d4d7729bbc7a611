package server

import (
	"errors"
	"net/rpc"
	"runtime/debug"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// request is the codec that net/rpc's server sees for one request. A worker has one,
// which it uses for all its requests.
type request struct {
	*conn
	caller   *caller
	seq      uint64
	method   string
	reading  reading
	read     bool              // its header was
	decoded  bool              // its body was read, too, so that the stream is in order
	followed bool              // by another request, which has begun to arrive
	refused  *protocol.Refusal // why, if it is
	answered bool              // or at least tried
	returned bool              // from net/rpc's server, and not by a panic
	answers  bool              // its client takes metadata of the reply
	said     codec.ResponseMeta
	trace    *traced // nil if there are no hooks, or no method runs

	record   *record         // nil if it is not remembered
	question protocol.Recall // if it is one

	times *runTimes // of the method; nil if there is none
	began int64     // when the method was called: see stream.now
	took  int64     // until the reply was written, if it was
}

// newRequest returns the request of a worker.
func newRequest(c *conn) *request {
	w := &struct { // one allocation
		request request
		caller  caller
	}{}
	w.caller.conn = c
	w.request = request{conn: c, caller: &w.caller}
	return &w.request
}

// run reads a request and runs it.
func (q *request) run() {
	*q = request{conn: q.conn, caller: q.caller}
	defer q.end()
	q.cfg.Server.ServeRequest(q) //nolint:errcheck // the client gets it, too
	q.returned = true
}

// ReadRequestHeader implements rpc.ServerCodec.
func (q *request) ReadRequestHeader(r *rpc.Request) error {
	q.stream.awaitRoom()
	if err := q.codec.ReadRequestHeader(r); err != nil {
		q.lose(errLost)
		return err
	}
	q.read, q.seq, q.method = true, r.Seq, r.ServiceMethod
	q.readMeta()
	if q.refused = q.begin(q.asks()); q.refused == nil && q.isLate() {
		q.counters.Late.Add(1)
		q.refuse(protocol.ErrLate)
	}
	q.remember()
	if q.refused != nil {
		r.ServiceMethod = protocol.RefusedMethod
	}
	switch {
	case q.method != codec.PingMethod:
		q.requests.Add(1)
		q.calls.Add(1)
	case q.refused == nil:
		q.serving.pings.Add(1)
	}
	return nil
}

// asks reports whether the request is part of a question about a call, which runs nothing.
func (q *request) asks() bool {
	return q.memory != nil && (q.method == protocol.WelcomeMethod || q.method == protocol.RecallMethod)
}

// ReadRequestBody implements rpc.ServerCodec. No body is asked for if there is no method
// to run.
func (q *request) ReadRequestBody(body any) error {
	into := body
	if body == nil && q.method == protocol.RecallMethod {
		into = &q.question
	}
	err := q.codec.ReadRequestBody(into)
	q.decoded = true
	q.stream.partial.Store(0)
	q.followed = q.ahead != nil && q.ahead.ReadAhead()
	runs := body != nil && err == nil
	if err != nil {
		q.memory.cancel(q.record)
	}
	if runs {
		q.times = q.methods.of(q.method)
		q.caller.seq, q.caller.kept = q.seq, q.record != nil
		q.caller.begin(body) // before another worker may read that it is canceled
	}
	if q.ahead != nil && !q.followed && (!runs || q.times.short()) && !q.question.Wait {
		q.reading = readingHere
		q.keepReading(q)
	} else {
		q.reading = readingElsewhere
		q.handOver()
	}
	q.began = q.stream.now()
	if runs {
		q.beginTrace()
	}
	return err
}

// WriteResponse implements rpc.ServerCodec.
func (q *request) WriteResponse(r *rpc.Response, body any) error {
	q.said.NoRetry = q.caller.end() && r.Error != ""
	switch {
	case q.refused != nil:
		r.Error = q.refused.Error()
	case q.method == codec.PingMethod && r.Error != "":
		r.Error, body = "", protocol.Health{Running: q.load(), Meta: q.metas != nil}
	case q.metas == nil || r.Error == "":
	case q.method == protocol.WelcomeMethod:
		r.Error, body = "", q.memory.welcome(q.conn)
	case q.method == protocol.RecallMethod && q.memory != nil:
		body = q.recall(r, body)
	}
	q.trace.returned(r.Error)
	q.answered = true
	return q.reply(r, body)
}

// reply writes a reply. If it is the last one that is due, it carries it to the
// connection itself; a reply that others may join is left to them, or to a flusher.
func (q *request) reply(r *rpc.Response, body any) error {
	size, err := q.write(r, q.replyMeta(), body, q.refused != nil, q.record != nil)
	failure := r.Error
	if err != nil && errors.As(err, new(*codec.EncodeError)) { // which was sent instead
		failure, body = err.Error(), struct{}{}
	}
	q.memory.finish(q.record, failure, body, size)
	q.took = q.stream.now() - q.began
	if q.method != codec.PingMethod {
		q.calls.Add(-1)
	}
	last := q.pending.Add(-1) == 0
	if !q.followed || !q.stream.joinsNextFlush() {
		q.stream.Send(last)
	}
	return err
}

// Close implements rpc.ServerCodec; ServeRequest does not call it.
func (q *request) Close() error { return nil }

// end ends the request, also one whose method has panicked or ended its goroutine.
func (q *request) end() {
	q.caller.end()
	if !q.returned && !q.cfg.CrashOnPanic {
		q.rescue(recover())
	}
	if q.decoded {
		q.memory.finish(q.record, ErrPanicked.Error(), struct{}{}, 0) // unless it has an answer
	} else {
		q.memory.cancel(q.record)
	}
	q.endTrace()
	q.record, q.trace = nil, nil // an idle worker must not keep them in memory
	if q.reading == readingHere && !q.resumeReading(q) {
		q.reading = readingElsewhere // and the run has been recorded
	} else if q.answered {
		q.times.record(time.Duration(q.took))
	}
	if q.read && q.refused == nil {
		if q.method == codec.PingMethod {
			q.serving.pings.Add(-1)
		}
		q.done()
	}
}

// load is how many requests run, this one included, without other pings: those of a client
// are no load to another one.
func (q *request) load() int {
	running := q.serving.running.Load() - q.serving.pings.Load()
	if q.method == codec.PingMethod {
		running++
	}
	return int(max(running, 1))
}

// rescue answers a request whose method did not return. If it was the codec that
// panicked, the stream is in disorder, and the connection ends.
func (q *request) rescue(reason any) {
	q.log.Error("rpc method did not return", "method", q.method, "panic", reason, "stack", string(debug.Stack()))
	if !q.decoded || q.answered {
		q.nc.Close()
		return
	}
	r := &rpc.Response{ServiceMethod: q.method, Seq: q.seq, Error: ErrPanicked.Error()}
	q.reply(r, struct{}{}) //nolint:errcheck // what keeps it from being written ends the connection
}

// remember makes a record of the request if its client asks for one.
func (q *request) remember() {
	if q.memory == nil || q.caller.meta.Call == 0 {
		return
	}
	r, err := q.memory.begin(q)
	if err == nil {
		q.record = r
		return
	}
	if q.refused == nil {
		q.refuse(protocol.ErrGivenUp)
	}
	if err == errDisorder { //nolint:errorlint // it is never wrapped
		q.log.Warn("connection closed: "+errDisorder.Error(), "remote", q.nc.RemoteAddr())
		q.abort(wire.ErrClosed)
	}
}

// recall answers a question about a call.
func (q *request) recall(r *rpc.Response, body any) any {
	found, done, why := q.memory.recall(&q.question, q.conn)
	if why != nil {
		q.refuse(why)
		r.ServiceMethod, r.Error = protocol.RefusedMethod, why.Error()
		return body
	}
	if done != nil {
		q.await(found, done)
	}
	switch {
	case done != nil && q.memory.runs(found): // and the client asks over another connection
		why = protocol.ErrRuns
	case found.state == recordNotRun:
		why = q.question.NotRun()
	}
	if why != nil {
		q.refuse(why)
		r.ServiceMethod, r.Error = protocol.RefusedMethod, why.Error()
		return body
	}
	r.Error = found.failure
	return found.body
}

// await waits until a method of another connection has ended. If the question is canceled
// meanwhile, so is the method.
func (q *request) await(r *record, done <-chan struct{}) {
	q.caller.seq, q.caller.kept, q.caller.instead = q.seq, true, r
	q.caller.begin(&q.question)
	<-done
	q.caller.end()
	q.caller.instead = nil
}
