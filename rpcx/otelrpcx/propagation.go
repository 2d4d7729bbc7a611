package otelrpcx

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"resilientrpc/rpcx"
)

// carry returns a context whose attempts tell the server that span is the parent of its own.
func carry(ctx context.Context, span trace.Span) context.Context {
	c := span.SpanContext()
	if !c.IsValid() {
		return ctx
	}
	return rpcx.WithTrace(ctx, rpcx.Trace{
		TraceID: c.TraceID(),
		SpanID:  c.SpanID(),
		Flags:   byte(c.TraceFlags()),
		State:   c.TraceState().String(),
	})
}

// withRemote returns a context in which the parent of spans is what the caller has sent, if
// it has.
func withRemote(ctx context.Context) context.Context {
	t, ok := rpcx.TraceOf(ctx)
	if !ok {
		return ctx
	}
	state, _ := trace.ParseTraceState(t.State) // a malformed one is none
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    t.TraceID,
		SpanID:     t.SpanID,
		TraceFlags: trace.TraceFlags(t.Flags),
		TraceState: state,
		Remote:     true,
	}))
}
