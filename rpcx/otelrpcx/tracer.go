package otelrpcx

import (
	"context"
	"errors"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

// The attributes that the conventions have no names for.
const (
	attempts = attribute.Key("rpcx.attempts")
	attempt  = attribute.Key("rpcx.attempt")
	hedge    = attribute.Key("rpcx.hedge")
	sent     = attribute.Key("rpcx.sent")
	wait     = attribute.Key("rpcx.wait") // in seconds
)

// tracer makes spans. As a context's key it stands for the span of the call, the
// attempt or the request, which another listener's span may hide from trace.SpanFromContext.
type tracer struct {
	trace.Tracer
	system attribute.KeyValue
}

func newTracer(c Config) *tracer {
	return &tracer{
		c.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		semconv.RPCSystemNameKey.String(c.System),
	}
}

func (t *tracer) hooks() *rpcx.ClientTrace {
	return &rpcx.ClientTrace{
		CallStart:       t.callStart,
		CallDone:        t.callDone,
		AttemptStart:    t.attemptStart,
		AttemptDone:     t.attemptDone,
		Retry:           t.retry,
		BudgetExhausted: t.budgetExhausted,
		Hedge:           t.hedge,
		Recall:          t.recall,
	}
}

func (t *tracer) start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, span := t.Start(ctx, name, o...)
	return context.WithValue(ctx, t, span), span
}

// span is the span of the call, the attempt or the request; nil if it was not sampled.
func (t *tracer) span(ctx context.Context) trace.Span {
	if s, ok := ctx.Value(t).(trace.Span); ok && s.IsRecording() {
		return s
	}
	return nil
}

func (t *tracer) callStart(ctx context.Context, i rpcx.CallInfo) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = withRemote(ctx)
	}
	ctx, _ = t.start(ctx, i.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(i.Started),
		trace.WithAttributes(t.system, semconv.RPCMethod(i.Method)))
	return ctx
}

func (t *tracer) callDone(ctx context.Context, i rpcx.CallInfo) {
	span := t.span(ctx)
	if span == nil {
		return
	}
	span.SetAttributes(attempts.Int(i.Attempts))
	var call *rpcx.CallError
	if errors.As(i.Err, &call) {
		span.SetAttributes(sent.String(call.Sent.String()))
	}
	fail(span, i.Err)
	span.End(trace.WithTimestamp(i.Started.Add(i.Duration)))
}

func (t *tracer) attemptStart(ctx context.Context, i rpcx.AttemptInfo) context.Context {
	call, ok := ctx.Value(t).(trace.Span)
	switch {
	case !ok:
		return ctx
	case !call.IsRecording(): // and so nothing else of the trace should be
		return carry(ctx, call)
	}
	ctx = trace.ContextWithSpan(ctx, call) // another tracer may have begun a span since
	where := make([]attribute.KeyValue, 0, 6)
	where = append(where, t.system, semconv.RPCMethod(i.Method), attempt.Int(i.Attempt))
	if i.Hedge {
		where = append(where, hedge.Bool(true))
	}
	ctx, span := t.start(ctx, i.Method+" attempt", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(i.Started),
		trace.WithAttributes(appendServer(where, i.Endpoint)...))
	return carry(ctx, span)
}

func (t *tracer) attemptDone(ctx context.Context, i rpcx.AttemptInfo) {
	span := t.span(ctx)
	if span == nil {
		return
	}
	if i.Err != nil {
		span.SetAttributes(sent.String(i.Sent.String()))
		fail(span, i.Err)
	}
	span.End(trace.WithTimestamp(i.Started.Add(i.Duration)))
}

func (t *tracer) retry(ctx context.Context, i rpcx.RetryInfo) {
	if span := t.span(ctx); span != nil {
		span.AddEvent("retry", trace.WithAttributes(attempt.Int(i.Attempt), wait.Float64(i.Wait.Seconds()), errorType(i.Err)))
	}
}

func (t *tracer) budgetExhausted(ctx context.Context, i rpcx.RetryInfo) {
	if span := t.span(ctx); span != nil {
		span.AddEvent("retry budget exhausted", trace.WithAttributes(attempt.Int(i.Attempt), errorType(i.Err)))
	}
}

func (t *tracer) hedge(ctx context.Context, i rpcx.HedgeInfo) {
	if span := t.span(ctx); span != nil {
		span.AddEvent("hedge", trace.WithAttributes(attempt.Int(i.Attempt), wait.Float64(i.Delay.Seconds())))
	}
}

func (t *tracer) recall(ctx context.Context, i rpcx.RecallInfo) {
	if span := t.span(ctx); span != nil {
		span.AddEvent("recall", trace.WithAttributes(attempt.Int(i.Attempt), answer.String(i.Answer.String()), wait.Float64(i.Duration.Seconds())))
	}
}

// fail notes an error in the span, if there is one.
func fail(span trace.Span, err error) {
	if err == nil {
		return
	}
	span.SetStatus(codes.Error, err.Error())
	span.SetAttributes(errorType(err))
	var object *codec.Error
	if errors.As(err, &object) {
		span.SetAttributes(semconv.RPCResponseStatusCode(strconv.Itoa(object.Code)))
	}
}

func errorType(err error) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(telemetry.Class(err))
}

// appendServer splits the address of an endpoint. What is not a host and a port is a
// socket's path.
func appendServer(to []attribute.KeyValue, endpoint string) []attribute.KeyValue {
	host, service, err := net.SplitHostPort(endpoint)
	if err != nil {
		if endpoint != "" {
			to = append(to, semconv.ServerAddress(endpoint))
		}
		return to
	}
	to = append(to, semconv.ServerAddress(host))
	if port, err := strconv.Atoi(service); err == nil {
		to = append(to, semconv.ServerPort(port))
	}
	return to
}
