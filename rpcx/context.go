package rpcx

import (
	"context"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
	internal "resilientrpc/rpcx/internal/server"
)

// ContextOf returns the context of the request that a method serves. Args is the argument of
// the method, which must be a pointer:
//
//	func (s *Service) Find(args *Query, reply *Result) error {
//		ctx := rpcx.ContextOf(args)
//		…
//	}
//
// The context has the caller's deadline. It also ends when
//   - the caller cancels the call,
//   - the connection is lost, or about five seconds later if the client may ask for the answer
//     over another connection (see "Recall of lost answers" in the package documentation),
//   - the method still runs ServeConfig.StopTimeout after the context of Serve has ended,
//   - the method returns.
//
// [context.Cause] says which. Only a Client of this package sends deadlines and cancellations.
//
// A call that the method makes with the context belongs to the same chain as its request: see
// [AsRetry] and [TraceOf]. The hooks of ServeConfig.Trace may add values to the context.
//
// ContextOf returns [context.Background] if args is not the argument of a method that runs in
// [Serve], or after that method has returned. It also does so if args is not a pointer, or
// points to a type without a size, such as struct{}, because such an argument does not
// distinguish requests. It may be called several times, and concurrently.
func ContextOf(args any) context.Context { return internal.ContextOf(args) }

// Trace is a W3C trace context: see [codec.Trace].
type Trace = codec.Trace

// WithTrace returns a context whose calls carry a trace to servers of [Serve]. A method there
// gets it by [TraceOf] from the context of [ContextOf]. A tracing library sets it in
// ClientTrace.AttemptStart, as rpcx/otelrpcx does.
func WithTrace(ctx context.Context, t Trace) context.Context {
	in := callmeta.Incoming{}
	if before := callmeta.FromContext(ctx); before != nil {
		in = *before
	}
	in.Trace = t
	return callmeta.NewContext(ctx, &in)
}

// TraceOf returns the trace of a context: that of [WithTrace], or else, for a context of
// [ContextOf], that of the request. It reports false if there is none.
func TraceOf(ctx context.Context) (Trace, bool) {
	in := callmeta.FromContext(ctx)
	if in == nil || !in.Trace.IsValid() {
		return Trace{}, false
	}
	return in.Trace, true
}
