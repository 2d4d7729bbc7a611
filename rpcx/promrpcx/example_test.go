package promrpcx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/promrpcx"
)

// The metrics of a client, which Prometheus reads at /metrics.
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

	metrics := promrpcx.New()
	dialer := rpcx.Dialer{Trace: metrics.Hooks()}
	client, err := dialer.Dial("tcp", lis.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	metrics.Watch(client)
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(metrics)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	if _, err := rpcx.Invoke[time.Duration](context.Background(), client, "Nap.Take", time.Millisecond); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rpcx_client_call_duration_seconds" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetHistogram().GetSampleCount())
		}
	}
	// Output: rpcx_client_call_duration_seconds 1
}

// The metrics of a server.
func ExampleNewServer() {
	server := rpc.NewServer()
	if err := server.Register(Nap{}); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	stats := new(rpcx.ServeStats)
	metrics := promrpcx.NewServer(stats)
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(metrics)

	ctx, stop := context.WithCancel(context.Background()) // in a program, signal.NotifyContext
	ended := make(chan error, 1)
	serving := rpcx.ServeConfig{Trace: metrics.Hooks(), Stats: stats}
	go func() { ended <- serving.Serve(ctx, lis, server, nil) }()

	client, err := rpcx.Dial("tcp", lis.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := rpcx.Invoke[time.Duration](context.Background(), client, "Nap.Take", time.Millisecond); err != nil {
		log.Fatal(err)
	}
	client.Close()
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		fmt.Println(f.GetName())
	}
	// Output:
	// rpcx_server_canceled_total
	// rpcx_server_late_total
	// rpcx_server_refused_total
	// rpcx_server_request_duration_seconds
}
