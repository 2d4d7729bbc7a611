package rpcx

import (
	"context"
	"log/slog"
	"net"
	"time"

	"resilientrpc/rpcx/internal/hook"
	internal "resilientrpc/rpcx/internal/server"
)

// ErrPanicked is the error of a method that has panicked, or ended its goroutine, in
// [RequestInfo]. Its client gets the same text. The reason is in ServeConfig.Logger.
var ErrPanicked = internal.ErrPanicked

// ServerTrace is a set of hooks that run as [Serve] runs requests: ServeConfig.Trace. Any
// hook may be nil. [ServerTrace.Join] lets several listen.
//
// Hooks are called for requests whose method runs: not for pings, nor for those that are
// refused or late, which [ServeStats] counts, nor if there is no such method or its arguments
// cannot be decoded.
//
// The two hooks of a request run on the goroutine of its method, one before it and one after
// it: be quick. Those of different requests run concurrently. A hook that panics is stopped
// where it is, and that is logged once; it must not call runtime.Goexit.
type ServerTrace struct {
	// RequestStart is called before the method, with the context that [ContextOf] would
	// return to it: [TraceOf] has the trace of the caller. What it returns is what
	// ContextOf returns to the method, and must descend from the context given.
	RequestStart func(context.Context, RequestInfo) context.Context
	// RequestDone is called once, after the method and the writing of its reply, with the
	// context that RequestStart has returned, which has ended. It runs before Serve returns,
	// unless Serve does not wait for the method.
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
	// Err is the error of the method, a [ServerError], or [ErrPanicked] if it did not
	// return. That its reply cannot be encoded or sent is none.
	Err error
	// Canceled is why the context of the request had ended before the method did, as
	// [context.Cause] has it; nil if it had not.
	Canceled error
}

// Join returns hooks that call those of t and then those of u, each of which may be nil.
// u's RequestStart is given what t's returned. A panic in t's does not keep u's from
// running.
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
