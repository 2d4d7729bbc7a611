// Package otelrpcx has OpenTelemetry's spans and metrics for clients of package rpcx, and for
// servers that use rpcx.Serve.
//
//	hooks, err := otelrpcx.New(otelrpcx.Config{})
//	…
//	dialer := rpcx.Dialer{Trace: hooks}
//
// and on the server
//
//	stats := new(rpcx.ServeStats)
//	hooks, err := otelrpcx.NewServer(otelrpcx.Config{}, stats)
//	…
//	cfg := rpcx.ServeConfig{Trace: hooks, Stats: stats}
//
// Names are those of the semantic conventions for RPC (semconv 1.43, release
// candidate), and where these have none they begin with "rpcx.".
//
// # Spans
//
// A call's span has the method's name, as the conventions want one for the whole call, retries
// included. Each attempt has a child span, named after the method and "attempt". Both are of
// kind CLIENT, since backends draw maps of services from SERVER spans whose parents are CLIENT
// spans, and the parent of a SERVER span is that of an attempt. Retries and hedges are events
// in the call's span; their attribute rpcx.wait is in seconds. The span of an attempt that was
// slower than its hedge ends after that of its call. The span of a request has the method's
// name, and is of kind SERVER. It ends after the reply was written.
//
//	rpc.system.name           all       Config.System
//	rpc.method                all       the service method
//	error.type                all       if it failed: a word of a small set, or JSON-RPC's code
//	rpc.response.status_code  client    JSON-RPC's code, if the server sent an error object
//	rpcx.sent                 client    if it failed: whether the server can have run it: no, maybe, yes
//	rpcx.attempts             call      how many there were
//	rpcx.attempt              attempt   its number, from 1
//	rpcx.hedge                attempt   true if it was made because another one took long
//	server.address            attempt   host of the endpoint
//	server.port               attempt   port of the endpoint
//	network.peer.address      request   address of the client
//	network.peer.port         request   port of the client
//	rpcx.canceled             request   if its caller left before the method returned: why
//
// # From client to server, and on
//
// The span of an attempt goes to the server as a W3C trace context (traceparent with the
// sampled flag, tracestate of up to 512 bytes), as do the identifiers of a call that is not sampled,
// so that the servers do not sample it either. It goes to servers that use rpcx.Serve; with any
// other one, the trace ends there. Baggage is not carried.
//
// In a method, the span of the request is in the context that [rpcx.ContextOf] returns; pass that on:
//
//	func (s *Service) Find(args *Query, reply *Result) error {
//		ctx := rpcx.ContextOf(args)
//		return s.behind.CallContext(ctx, "Store.Get", args.Key, reply)
//	}
//
// The parent of a call's span is the span in the context given to CallContext, or, without one,
// the trace that [rpcx.TraceOf] finds in it: so a method's calls continue the trace also where
// the server has no hooks.
//
// # Metrics
//
//	rpc.client.call.duration        histogram, s   by rpc.method and error.type
//	rpcx.client.attempt.failures    counter        by rpc.method and error.type
//	rpcx.client.retries             counter        by rpc.method
//	rpcx.client.hedges              counter        by rpc.method
//	rpcx.client.recalls             counter        by rpc.method and rpcx.recall.answer
//	rpcx.client.budget_exhausted    counter        by rpc.method
//	rpcx.client.dials               counter        by error.type
//	rpcx.client.breaker.changes     counter        by rpcx.breaker.state, which was entered
//	rpcx.client.suspicions          counter        by rpcx.verdict
//	rpc.server.call.duration        histogram, s   by rpc.method and error.type, of requests that were run
//	rpcx.server.refused             counter        requests that were not run: the server stops, or is full
//	rpcx.server.late                counter        requests that were not run: their deadline had passed
//	rpcx.server.canceled            counter        requests whose caller left while they ran
//
// The number of attempts is that of calls, retries and hedges together, less those that found
// no endpoint or ended before they were sent. Endpoints are in no metric, since there may be
// ten thousand. In each metric, beyond a thousand values of rpc.method, or pairs of it and
// error.type, the method is "_OTHER", and the error "server_error" for a code.
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

// Config says where spans and metrics go. The zero value is the default. The providers of
// OpenTelemetry's packages noop turn spans or metrics off, at no cost to a call or a request.
type Config struct {
	// TracerProvider gets the spans. Nil means OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// MeterProvider gets the metrics. Nil means OpenTelemetry's global one.
	MeterProvider metric.MeterProvider
	// System is rpc.system.name. Empty means "go_net_rpc", since the conventions
	// have no name for it; where the codec is JSON-RPC's, set "jsonrpc".
	System string
}

// New returns hooks for Dialer.Trace; [rpcx.ClientTrace.Join] adds others. They serve
// any number of clients. An error is that of a MeterProvider that cannot make an
// instrument.
func New(c Config) (*rpcx.ClientTrace, error) {
	c = c.withDefaults()
	hooks := new(rpcx.ClientTrace)
	if c.traces() {
		hooks = newTracer(c).hooks()
	}
	if c.measures() {
		m, err := newMeter(c)
		if err != nil {
			return nil, err
		}
		hooks = hooks.Join(m.hooks())
	}
	return hooks, nil
}

// NewServer returns hooks for ServeConfig.Trace; [rpcx.ServerTrace.Join] adds others. They
// serve any number of servers. stats is the value of ServeConfig.Stats; with nil, the metrics
// of requests that were refused, late or canceled are left out. An error is that of a
// MeterProvider that cannot make an instrument.
func NewServer(c Config, stats *rpcx.ServeStats) (*rpcx.ServerTrace, error) {
	c = c.withDefaults()
	hooks := new(rpcx.ServerTrace)
	if c.traces() {
		hooks = newTracer(c).serverHooks()
	}
	if c.measures() {
		m, err := newServerMeter(c, stats)
		if err != nil {
			return nil, err
		}
		hooks = hooks.Join(m)
	}
	return hooks, nil
}

func (c Config) withDefaults() Config {
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	if c.System == "" {
		c.System = "go_net_rpc"
	}
	return c
}

func (c Config) traces() bool {
	_, off := c.TracerProvider.(nooptrace.TracerProvider)
	return !off
}

func (c Config) measures() bool {
	_, off := c.MeterProvider.(noopmetric.MeterProvider)
	return !off
}
