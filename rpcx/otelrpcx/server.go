package otelrpcx

import (
	"context"
	"errors"
	"net"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"go.opentelemetry.io/otel/trace"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

// canceled is the attribute of a request whose caller has left.
const canceled = attribute.Key("rpcx.canceled")

func (t *tracer) serverHooks() *rpcx.ServerTrace {
	return &rpcx.ServerTrace{RequestStart: t.requestStart, RequestDone: t.requestDone}
}

func (t *tracer) requestStart(ctx context.Context, i rpcx.RequestInfo) context.Context {
	what := make([]attribute.KeyValue, 0, 4)
	what = appendPeer(append(what, t.system, semconv.RPCMethod(i.Method)), i.Remote)
	ctx, span := t.start(withRemote(ctx), i.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(i.Started),
		trace.WithAttributes(what...))
	return carry(ctx, span) // also for clients without hooks
}

func (t *tracer) requestDone(ctx context.Context, i rpcx.RequestInfo) {
	span := t.span(ctx)
	if span == nil {
		return
	}
	if i.Canceled != nil {
		span.SetAttributes(canceled.String(i.Canceled.Error()))
	}
	fail(span, i.Err)
	span.End(trace.WithTimestamp(i.Started.Add(i.Duration)))
}

// appendPeer appends the address of a client. That of a Unix socket mostly has no name.
func appendPeer(to []attribute.KeyValue, a net.Addr) []attribute.KeyValue {
	switch a := a.(type) {
	case nil:
	case *net.TCPAddr:
		to = append(to, semconv.NetworkPeerAddress(a.IP.String()), semconv.NetworkPeerPort(a.Port))
	default:
		if name := a.String(); name != "" {
			to = append(to, semconv.NetworkPeerAddress(name))
		}
	}
	return to
}

// serverMeter records metrics of a server.
type serverMeter struct {
	requests metric.Float64Histogram
	series   *telemetry.Series[[]metric.RecordOption]
}

// newServerMeter returns hooks, and has stats observed if there are any.
func newServerMeter(c Config, stats *rpcx.ServeStats) (*rpcx.ServerTrace, error) {
	in := c.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	system := semconv.RPCSystemNameKey.String(c.System)
	m := &serverMeter{series: telemetry.NewSeries(func(k telemetry.Key) []metric.RecordOption { return recordOptions(system, k) })}
	var conventional rpcconv.ServerCallDuration
	requests, err := in.Float64Histogram(conventional.Name(), metric.WithDescription(conventional.Description()),
		metric.WithUnit(conventional.Unit()), metric.WithExplicitBucketBoundaries(buckets...))
	m.requests = requests
	if stats != nil {
		err = errors.Join(err, observe(in, metric.WithAttributeSet(attribute.NewSet(system)), stats))
	}
	return &rpcx.ServerTrace{RequestDone: m.requestDone}, err
}

func (m *serverMeter) requestDone(ctx context.Context, i rpcx.RequestInfo) {
	m.requests.Record(ctx, i.Duration.Seconds(), m.series.Get(keyOf(i.Method, i.Err))...)
}

// observe has the counts of stats read whenever metrics are collected.
func observe(in metric.Meter, system metric.ObserveOption, stats *rpcx.ServeStats) error {
	var errs []error
	counter := func(name, help string) metric.Int64ObservableCounter {
		n, err := in.Int64ObservableCounter(name, metric.WithDescription(help), metric.WithUnit("{request}"))
		errs = append(errs, err)
		return n
	}
	refused := counter("rpcx.server.refused", "Requests that were not run because the server stops or has too many connections.")
	late := counter("rpcx.server.late", "Requests that were not run because their deadline had passed.")
	canceled := counter("rpcx.server.canceled", "Requests whose caller left while they ran.")
	_, err := in.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		n := stats.Counts()
		o.ObserveInt64(refused, n.Refused, system)
		o.ObserveInt64(late, n.Late, system)
		o.ObserveInt64(canceled, n.Canceled, system)
		return nil
	}, refused, late, canceled)
	return errors.Join(append(errs, err)...)
}
