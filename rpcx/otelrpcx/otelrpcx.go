// Package otelrpcx lets OpenTelemetry watch a client of package rpcx: a span for
// every call, with a child for each of its attempts, and metrics.
//
//	hooks, err := otelrpcx.New(otelrpcx.Config{})
//	…
//	dialer := rpcx.Dialer{Trace: hooks}
//
// Names are those of the semantic conventions for RPC (semconv 1.43, release
// candidate), and where these have none they begin with "rpcx.".
//
// # Spans
//
// A call's span is of kind CLIENT and has the method's name, as the conventions want
// one for the whole call, retries included. Its parent is the span in the context
// given to CallContext. Retries and hedges are events in it. An attempt's span is of kind
// INTERNAL, is named after the method and "attempt", and says where it went:
//
//	rpc.system.name           both      Config.System
//	rpc.method                both      the service method
//	error.type                both      if it failed: a word of a small set, or JSON-RPC's code
//	rpc.response.status_code  both      JSON-RPC's code, if the server sent an error object
//	rpcx.sent                 both      if it failed: whether the server can have run it: no, maybe, yes
//	rpcx.attempts             call      how many there were
//	rpcx.attempt              attempt   its number, from 1
//	rpcx.hedge                attempt   true if it was made because another one took long
//	server.address            attempt   host of the endpoint
//	server.port               attempt   port of the endpoint
//
// The context does not travel to the server: net/rpc's formats have no place for it.
//
// # Metrics
//
//	rpc.client.call.duration        histogram, s   by rpc.method and error.type
//	rpcx.client.attempt.failures    counter        by rpc.method and error.type
//	rpcx.client.retries             counter        by rpc.method
//	rpcx.client.hedges              counter        by rpc.method
//	rpcx.client.budget_exhausted    counter        by rpc.method
//	rpcx.client.dials               counter        by error.type
//	rpcx.client.breaker.changes     counter        by rpcx.breaker.state, which was entered
//	rpcx.client.suspicions          counter        by rpcx.verdict
//
// There are as many attempts as calls, retries and hedges together. The span of an
// attempt that was slower than its hedge ends after that of its call. Endpoints are in
// no metric, since there may be ten thousand. Methods beyond a thousand are counted as
// "_OTHER".
package otelrpcx

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"resilientrpc/rpcx"
)

const scope = "resilientrpc/rpcx/otelrpcx"

// Config says where to. The zero value is the default. The providers of
// OpenTelemetry's packages noop turn spans or metrics off, at no cost to a call.
type Config struct {
	// TracerProvider gets the spans. Nil means OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// MeterProvider gets the metrics. Nil means OpenTelemetry's global one.
	MeterProvider metric.MeterProvider
	// System is rpc.system.name. Empty means "go_net_rpc", since the conventions
	// have no name for it; where Dialer.Codec is JSON-RPC's, set "jsonrpc".
	System string
}

// New returns hooks for Dialer.Trace; [rpcx.ClientTrace.Join] adds others. They serve
// any number of clients. An error is that of a MeterProvider that cannot make an
// instrument.
func New(c Config) (*rpcx.ClientTrace, error) {
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	if c.System == "" {
		c.System = "go_net_rpc"
	}
	hooks := new(rpcx.ClientTrace)
	if _, off := c.TracerProvider.(nooptrace.TracerProvider); !off {
		hooks = newTracer(c).hooks()
	}
	if _, off := c.MeterProvider.(noopmetric.MeterProvider); !off {
		m, err := newMeter(c)
		if err != nil {
			return nil, err
		}
		hooks = hooks.Join(m.hooks())
	}
	return hooks, nil
}
