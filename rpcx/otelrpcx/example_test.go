package otelrpcx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/otelrpcx"
)

// A span for the call, and one for each of its attempts, which ends first.
func Example() {
	server := rpc.NewServer()
	if err := server.Register(Nap{}); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	go server.Accept(lis)

	spans := tracetest.NewInMemoryExporter() // in a program, one for OTLP
	hooks, err := otelrpcx.New(otelrpcx.Config{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	if err != nil {
		log.Fatal(err)
	}
	dialer := rpcx.Dialer{Trace: hooks}
	client, err := dialer.Dial("tcp", lis.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	if _, err := rpcx.Invoke[time.Duration](context.Background(), client, "Nap.Take", time.Millisecond); err != nil {
		log.Fatal(err)
	}
	for _, s := range spans.GetSpans() {
		fmt.Println(s.Name, s.SpanKind)
	}
	// Output:
	// Nap.Take attempt client
	// Nap.Take client
}

// Front is a service whose method calls another service.
type Front struct{ behind *rpcx.Client }

// Rest calls with the context of its request, so that the call belongs to the same trace.
func (f Front) Rest(d *time.Duration, took *time.Duration) error {
	return f.behind.CallContext(rpcx.ContextOf(d), "Nap.Take", *d, took)
}

// A server with spans, in the middle of a chain.
func ExampleNewServer() {
	var config otelrpcx.Config // OpenTelemetry's global providers
	hooks, err := otelrpcx.New(config)
	if err != nil {
		log.Fatal(err)
	}
	dialer := rpcx.Dialer{Trace: hooks, Lazy: true}
	behind, err := dialer.Dial("tcp", "127.0.0.1:7002")
	if err != nil {
		log.Fatal(err)
	}
	defer behind.Close()

	server := rpc.NewServer()
	if err := server.Register(Front{behind}); err != nil {
		log.Fatal(err)
	}
	stats := new(rpcx.ServeStats)
	serverHooks, err := otelrpcx.NewServer(config, stats)
	if err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0") // in a program, the server's port
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // in a program, signal.NotifyContext
	stop()
	serving := rpcx.ServeConfig{Trace: serverHooks, Stats: stats}
	if err := serving.Serve(ctx, lis, server, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Counts())
	// Output: {0 0 0}
}
