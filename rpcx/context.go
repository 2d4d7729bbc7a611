package rpcx

import (
	"context"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
	internal "resilientrpc/rpcx/internal/server"
)

// ContextOf returns the context of the request that a method serves, which is the one that
// was given args, a pointer, as its argument:
//
//	func (s *Service) Find(args *Query, reply *Result) error {
//		ctx := rpcx.ContextOf(args)
//		…
//	}
//
// The context has the caller's deadline. It also ends when the caller cancels the call, when
// the connection is lost (about five seconds later if the client may ask for the answer over
// another one: see "Lost answers" in the package documentation), when the method still runs ServeConfig.StopTimeout after the serving
// was to stop, and when the method returns; [context.Cause] says which. Only a Client of this
// package sends deadlines and cancellations. With any other client, the context ends when the
// connection is lost.
//
// A call that the method makes with the context belongs to the same chain as its
// request. The hooks of ServeConfig.Trace may add to the context.
//
// ContextOf returns [context.Background] if args is not the argument of a method that runs in
// [Serve], or once that method has returned. It also does if args is not a pointer, or points
// to a type without a size, such as struct{}: such an argument does not tell one request from
// another. It may be called several times, and concurrently.
func ContextOf(args any) context.Context { return internal.ContextOf(args) }

// Trace is a W3C trace context: see [codec.Trace].
type Trace = codec.Trace

// WithTrace returns a context whose calls carry a trace to the servers that understand it,
// which are those of [Serve]. In the context of a method there it is found by [TraceOf]. A
// tracing library sets it in ClientTrace.AttemptStart, as rpcx/otelrpcx does.
func WithTrace(ctx context.Context, t Trace) context.Context {
	in := callmeta.Incoming{}
	if before := callmeta.FromContext(ctx); before != nil {
		in = *before
	}
	in.Trace = t
	return callmeta.NewContext(ctx, &in)
}

// TraceOf returns the trace of a context: that of [WithTrace], or else that of the request
// which [ContextOf] has returned the context of. It reports false if there is none.
func TraceOf(ctx context.Context) (Trace, bool) {
	in := callmeta.FromContext(ctx)
	if in == nil || !in.Trace.IsValid() {
		return Trace{}, false
	}
	return in.Trace, true
}
