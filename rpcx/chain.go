package rpcx

import (
	"context"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
)

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

// wasCut reports whether an error that the method has returned at a time is the work of the
// deadline, which its server knows, and which this side was about to notice.
func (a *attempt) wasCut(at time.Time) bool {
	return !a.Deadline.IsZero() && !at.Before(a.Deadline) && a.endpoint.metaSupport() == codec.MetaUnderstood
}

// tellSpent tells the request that the call was made for, if there is one, that its caller
// should not repeat it: the call has failed although it was tried as often as it may be.
func (cl *call) tellSpent() {
	if chain := cl.options.chain; cl.spent && chain != nil && chain.Spent != nil {
		chain.Spent.Store(true)
	}
}

// mark gives an attempt what its request says of the chain of calls that it belongs to.
func (a *attempt) mark(cl *call, hooked bool) {
	a.Retry = a.hedge || cl.options.retry || cl.owes
	chain := cl.options.chain
	if hooked { // and the hook may have set a trace
		chain = callmeta.FromContext(a.ctx)
	}
	if chain != nil && chain.Trace.IsValid() {
		a.Trace = &chain.Trace
	}
}
