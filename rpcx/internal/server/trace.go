package server

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"time"
)

// ErrPanicked is the error of a method that has panicked, or ended its goroutine. The reason
// stays on the server, in its log.
var ErrPanicked = errors.New("rpcx: the method panicked")

// Trace is a set of hooks: see rpcx.ServerTrace. Either may be nil.
type Trace struct {
	Start func(context.Context, RequestInfo) context.Context
	Done  func(context.Context, RequestInfo)
}

// RequestInfo describes a request to hooks: see rpcx.RequestInfo, which has the same fields.
type RequestInfo struct {
	Method   string
	Remote   net.Addr
	Started  time.Time
	Duration time.Duration
	Err      error
	Canceled error
}

// traced is a request whose hooks are called.
type traced struct {
	ctx  context.Context // what Start has returned
	info RequestInfo
}

// beginTrace calls Trace.Start for a request whose method is about to run. The reading may be
// another worker's by now, so that the hook holds it up no more than a method does.
func (q *request) beginTrace() {
	hooks := q.cfg.Trace
	if hooks == nil {
		return
	}
	t := &traced{info: RequestInfo{Method: q.method, Remote: q.nc.RemoteAddr(), Started: time.Now()}}
	q.trace = t
	t.ctx = q.caller.extend(func(ctx context.Context) context.Context {
		if hooks.Start == nil {
			return ctx
		}
		return hooks.Start(ctx, t.info)
	})
}

// returned notes the error that the method has returned, if any.
func (t *traced) returned(text string) {
	if t != nil && text != "" {
		t.info.Err = rpc.ServerError(text)
	}
}

// endTrace calls Trace.Done for a request whose method has run, and whose context has ended.
func (q *request) endTrace() {
	t := q.trace
	if t == nil || q.cfg.Trace.Done == nil {
		return
	}
	t.info.Duration = time.Since(t.info.Started)
	if !q.answered {
		t.info.Err = ErrPanicked
	}
	if cause := context.Cause(t.ctx); !errors.Is(cause, errReturned) {
		t.info.Canceled = cause
	}
	q.cfg.Trace.Done(t.ctx, t.info)
}
