package server

import (
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
)

// clockEvery is how often replies on a connection have the server's time.
const clockEvery = 100 * time.Millisecond

// Counters count what has become of requests.
type Counters struct {
	Refused  atomic.Int64 // because the serving stops, or there are too many connections
	Late     atomic.Int64 // refused because their deadline had passed
	Canceled atomic.Int64 // whose caller left while they ran
}

// useMeta has the codec carry metadata, if it can.
func (c *conn) useMeta() {
	c.first = -1
	if c.metas, _ = c.codec.(codec.MetaServer); c.metas != nil {
		c.metas.UseMeta(c.cancel)
	}
}

// readMeta reads the metadata of a request. The time of the connection begins with the first
// one: what a client counts from before that is never behind.
func (q *request) readMeta() {
	if q.metas == nil {
		return
	}
	if q.first < 0 {
		q.first = q.stream.now()
	}
	var m *codec.RequestMeta
	if m, q.answers = q.metas.RequestMeta(); m != nil {
		q.caller.meta = *m
	} else if q.caller.meta != (codec.RequestMeta{}) {
		q.caller.meta = codec.RequestMeta{}
	}
	if q.memory == nil || q.caller.meta.Call == 0 {
		q.count.Add(1) // before begin looks at retired; else memory.begin does it
	}
}

// isLate reports whether the deadline of the request has passed. Time that this process was
// stopped for counts.
func (q *request) isLate() bool {
	deadline := q.caller.meta.Deadline
	return deadline > 0 && q.method != codec.PingMethod && q.stream.now()-q.first > int64(deadline)
}

// refuse notes that the request, which has begun, is refused.
func (q *request) refuse(why *protocol.Refusal) {
	q.refused = why
	q.done()
}

// replyMeta are the metadata of the reply; nil for none.
func (q *request) replyMeta() *codec.ResponseMeta {
	if !q.answers {
		return nil
	}
	q.said.Running = q.load()
	at, last := q.began-q.first, q.clocked.Load()
	if at-last >= int64(clockEvery) || last == 0 {
		q.clocked.Store(at)
		q.said.Clock = time.Duration(at)
	}
	return &q.said
}

// cancel ends the context of the request with a number, if its method runs. The reader calls it.
func (c *conn) cancel(seq uint64) {
	c.stream.partial.Store(0) // it was whole
	running.each(c, func(r *caller) bool {
		return !r.abandon(errCanceled, func() bool { return r.seq == seq })
	})
}

// lose ends the contexts of the methods of the connection, once, but for those whose callers
// may come back: only errStopped ends these, too.
func (c *conn) lose(cause error) {
	if c.lost.CompareAndSwap(nil, &cause) {
		c.memory.lose(c)
	} else if cause != errStopped { //nolint:errorlint // it is never wrapped
		return
	} else {
		c.lost.Store(&cause)
	}
	if c.running.Load() == 0 {
		return
	}
	running.each(c, func(r *caller) bool {
		r.abandon(cause, func() bool { return r.loses(cause) })
		return true
	})
}
