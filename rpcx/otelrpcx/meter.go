package otelrpcx

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

const (
	breakerState = attribute.Key("rpcx.breaker.state")
	verdict      = attribute.Key("rpcx.verdict")
	answer       = attribute.Key("rpcx.recall.answer")
)

// buckets begin where calls within a machine are; the conventions' begin at 5 ms,
// below which net/rpc's calls are, as a rule.
var buckets = []float64{
	0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5,
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
}

// meter records metrics. The attributes of calls are made once for each series, so
// that one that succeeds at once allocates nothing.
type meter struct {
	system  attribute.KeyValue
	calls   metric.Float64Histogram
	failed  metric.Int64Counter
	retries metric.Int64Counter
	spent   metric.Int64Counter
	hedges  metric.Int64Counter
	recalls metric.Int64Counter
	dials   metric.Int64Counter
	changes metric.Int64Counter
	doubts  metric.Int64Counter

	series   *telemetry.Series[[]metric.RecordOption]
	failures *telemetry.Series[metric.AddOption] // of attempts
	methods  *telemetry.Series[metric.AddOption] // without a class
}

func newMeter(c Config) (*meter, error) {
	m := &meter{system: semconv.RPCSystemNameKey.String(c.System)}
	m.series = telemetry.NewSeries(func(k telemetry.Key) []metric.RecordOption { return recordOptions(m.system, k) })
	m.failures = telemetry.NewSeries(func(k telemetry.Key) metric.AddOption { return attributeSet(m.system, k) })
	m.methods = telemetry.NewSeries(func(k telemetry.Key) metric.AddOption { return attributeSet(m.system, k) })
	var errs []error
	in := c.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	counter := func(name, unit, help string) metric.Int64Counter {
		n, err := in.Int64Counter(name, metric.WithDescription(help), metric.WithUnit(unit))
		errs = append(errs, err)
		return n
	}
	var conventional rpcconv.ClientCallDuration
	calls, err := in.Float64Histogram(conventional.Name(), metric.WithDescription(conventional.Description()),
		metric.WithUnit(conventional.Unit()), metric.WithExplicitBucketBoundaries(buckets...))
	m.calls, errs = calls, append(errs, err)
	m.failed = counter("rpcx.client.attempt.failures", "{attempt}", "Attempts of calls that failed.")
	m.retries = counter("rpcx.client.retries", "{retry}", "Attempts that follow another one of the same call that failed.")
	m.hedges = counter("rpcx.client.hedges", "{attempt}", "Attempts beside another one of the same call that takes long.")
	m.recalls = counter("rpcx.client.recalls", "{call}", "Calls whose connection broke and whose server was asked what became of them.")
	m.spent = counter("rpcx.client.budget_exhausted", "{call}", "Calls that were not tried again because the retry budget was spent.")
	m.dials = counter("rpcx.client.dials", "{dial}", "Dials that ended.")
	m.changes = counter("rpcx.client.breaker.changes", "{change}", "Changes of circuit breakers.")
	m.doubts = counter("rpcx.client.suspicions", "{verdict}", "Verdicts of failure detectors.")
	return m, errors.Join(errs...)
}

func (m *meter) hooks() *rpcx.ClientTrace {
	return &rpcx.ClientTrace{
		CallDone: func(ctx context.Context, i rpcx.CallInfo) {
			m.calls.Record(ctx, i.Duration.Seconds(), m.series.Get(keyOf(i.Method, i.Err))...)
		},
		AttemptDone: func(ctx context.Context, i rpcx.AttemptInfo) {
			if i.Err != nil {
				m.failed.Add(ctx, 1, m.failures.Get(keyOf(i.Method, i.Err)))
			}
		},
		Retry: func(ctx context.Context, i rpcx.RetryInfo) { m.retries.Add(ctx, 1, m.method(i.Method)) },
		BudgetExhausted: func(ctx context.Context, i rpcx.RetryInfo) {
			m.spent.Add(ctx, 1, m.method(i.Method))
		},
		Hedge: func(ctx context.Context, i rpcx.HedgeInfo) { m.hedges.Add(ctx, 1, m.method(i.Method)) },
		Recall: func(ctx context.Context, i rpcx.RecallInfo) {
			m.recalls.Add(ctx, 1, m.method(i.Method), metric.WithAttributes(answer.String(i.Answer.String())))
		},
		ConnDone: func(i rpcx.ConnInfo) {
			var result []attribute.KeyValue
			if i.Err != nil {
				result = append(result, errorType(i.Err))
			}
			m.dials.Add(context.Background(), 1, metric.WithAttributes(result...))
		},
		BreakerChanged: func(i rpcx.BreakerInfo) {
			m.changes.Add(context.Background(), 1, metric.WithAttributes(breakerState.String(i.To.String())))
		},
		Suspicion: func(i rpcx.SuspicionInfo) {
			m.doubts.Add(context.Background(), 1, metric.WithAttributes(verdict.String(i.Verdict.String())))
		},
	}
}

func keyOf(method string, err error) telemetry.Key {
	return telemetry.Key{Method: method, Class: telemetry.Class(err)}
}

// recordOptions are the attributes of one series, made ready.
func recordOptions(system attribute.KeyValue, k telemetry.Key) []metric.RecordOption {
	return []metric.RecordOption{attributeSet(system, k)}
}

func attributeSet(system attribute.KeyValue, k telemetry.Key) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attributes(system, k)...))
}

func attributes(system attribute.KeyValue, k telemetry.Key) []attribute.KeyValue {
	set := []attribute.KeyValue{system, semconv.RPCMethod(k.Method)}
	if k.Class != "" {
		set = append(set, semconv.ErrorTypeKey.String(k.Class))
	}
	if _, err := strconv.Atoi(k.Class); err == nil {
		set = append(set, semconv.RPCResponseStatusCode(k.Class))
	}
	return set
}

func (m *meter) method(name string) metric.AddOption {
	return m.methods.Get(telemetry.Key{Method: name})
}
