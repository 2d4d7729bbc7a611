package rpcx

import (
	"context"
	"log/slog"
	"net"
	"time"

	"resilientrpc/rpcx/internal/hook"
	internal "resilientrpc/rpcx/internal/server"
)

// ErrPanicked is the error, in [RequestInfo], of a method that has panicked or ended its
// goroutine. The client gets the same text. ServeConfig.Logger gets the panic.
var ErrPanicked = internal.ErrPanicked

// ServerTrace is a set of hooks that run as [Serve] runs requests: ServeConfig.Trace. Any
// hook may be nil. [ServerTrace.Join] combines several sets.
//
// Hooks are called for requests whose method runs. They are not called for pings, for refused
// and late requests (which [ServeStats] counts), for unknown methods, and for arguments that
// cannot be decoded.
//
// The two hooks of a request run synchronously on the goroutine of its method, one before it
// and one after it, so they should return quickly. Hooks of different requests run
// concurrently. If a hook panics, that is logged once. A hook must not call runtime.Goexit.
type ServerTrace struct {
	// RequestStart is called before the method, with the context of the request: [TraceOf]
	// returns the caller's trace. The method gets the returned context by [ContextOf]; it must
	// be derived from the context given.
	RequestStart func(context.Context, RequestInfo) context.Context
	// RequestDone is called once, after the reply of the method was written, with the context
	// that RequestStart has returned, which has ended. It runs before Serve returns, unless
	// the method still ran at the end of StopTimeout.
	RequestDone func(context.Context, RequestInfo)
}

// RequestInfo describes a request to the hooks of a [ServerTrace].
type RequestInfo struct {
	Method  string
	Remote  net.Addr // of the client's connection
	Started time.Time

	// Known in RequestDone.

	// Duration is how long the request took since Started, the writing of its reply included.
	Duration time.Duration
	// Err is the error of the method, a [ServerError], or [ErrPanicked] if the method did not
	// return. It is nil if the reply could not be encoded or sent.
	Err error
	// Canceled is why the context of the request ended before the method returned, by
	// [context.Cause]; nil if it did not.
	Canceled error
}

// Join returns hooks that call those of t and then those of u; t or u may be nil. The context
// that RequestStart of t returns is passed to that of u. If a hook of t panics, that of u
// still runs.
func (t *ServerTrace) Join(u *ServerTrace) *ServerTrace {
	if t == nil {
		t = &ServerTrace{}
	}
	if u == nil {
		u = &ServerTrace{}
	}
	return &ServerTrace{
		RequestStart: hook.JoinStart(t.RequestStart, u.RequestStart),
		RequestDone:  hook.JoinOfCall(t.RequestDone, u.RequestDone),
	}
}

// guarded returns hooks that a panic does not leave; nil if there are none.
func (t *ServerTrace) guarded(log *slog.Logger) *internal.Trace {
	if t == nil || t.RequestStart == nil && t.RequestDone == nil {
		return nil
	}
	hooks := new(internal.Trace)
	if start := hook.GuardStart(log, t.RequestStart); start != nil {
		hooks.Start = func(ctx context.Context, i internal.RequestInfo) context.Context { return start(ctx, RequestInfo(i)) }
	}
	if done := hook.GuardOfCall(log, t.RequestDone); done != nil {
		hooks.Done = func(ctx context.Context, i internal.RequestInfo) { done(ctx, RequestInfo(i)) }
	}
	return hooks
}
