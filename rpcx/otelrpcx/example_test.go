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
	// Nap.Take attempt internal
	// Nap.Take client
}
