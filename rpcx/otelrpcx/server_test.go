package otelrpcx_test

import (
	"context"
	"log/slog"
	"net"
	"net/rpc"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/otelrpcx"
)

// Desk is the service of a server with hooks.
type Desk struct{ began, held chan struct{} }

// Add has arguments that are no pointer.
func (*Desk) Add(terms [2]int, sum *int) error {
	*sum = terms[0] + terms[1]
	return nil
}

// Refuse implements a method.
func (*Desk) Refuse(why string, _ *int) error { return rpc.ServerError(why) }

// Panic implements a method.
func (*Desk) Panic(why string, _ *int) error { panic(why) }

// Hold ends when it is let go.
func (d *Desk) Hold(n int, m *int) error {
	d.began <- struct{}{}
	<-d.held
	*m = n
	return nil
}

// Wait ends with its context.
func (d *Desk) Wait(n *int, _ *int) error {
	d.began <- struct{}{}
	<-rpcx.ContextOf(n).Done()
	return nil
}

// desk is a server that is observed, in real time.
type desk struct {
	*Desk
	*observed
	address string
	stop    func()
}

func serveDesk(t *testing.T, cfg rpcx.ServeConfig) *desk {
	t.Helper()
	o := &observed{spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()}
	cfg.Stats = new(rpcx.ServeStats)
	cfg.Logger = slog.New(slog.DiscardHandler)
	var err error
	cfg.Trace, err = otelrpcx.NewServer(otelrpcx.Config{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.metrics)),
	}, cfg.Stats)
	require.NoError(t, err)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &desk{&Desk{make(chan struct{}, 10), make(chan struct{})}, o, lis.Addr().String(), nil}
	server := rpc.NewServer()
	require.NoError(t, server.Register(d.Desk))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(d.stop)
	return d
}

// Any client will do: each request has a span, and those of a stock client are roots.
func TestServerSpans(t *testing.T) {
	d := serveDesk(t, rpcx.ServeConfig{})
	conn, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	c := rpc.NewClient(conn)
	require.NoError(t, c.Call("Desk.Add", [2]int{1, 2}, new(int)))
	require.EqualError(t, c.Call("Desk.Refuse", "no", new(int)), "no")
	require.EqualError(t, c.Call("Desk.Panic", "secret", new(int)), "rpcx: the method panicked")
	require.Error(t, c.Call("Desk.Missing", 1, new(int)))
	wait := c.Go("Desk.Wait", 1, new(int), nil)
	<-d.began
	require.NoError(t, c.Close())
	<-wait.Done
	d.stop()

	port := strconv.Itoa(conn.LocalAddr().(*net.TCPAddr).Port)
	want := map[string]map[string]string{
		"Desk.Add":    {},
		"Desk.Refuse": {"error.type": "server_error"},
		"Desk.Panic":  {"error.type": "panic"},
		"Desk.Wait":   {"rpcx.canceled": "rpcx: the connection of the caller is lost"},
	}
	require.Len(t, d.spans.GetSpans(), len(want))
	for method, attributes := range want {
		span := d.named(method)[0]
		attributes["rpc.system.name"], attributes["rpc.method"] = "go_net_rpc", method
		attributes["network.peer.address"], attributes["network.peer.port"] = "127.0.0.1", port
		require.Equal(t, attributes, attrs(span))
		require.Equal(t, trace.SpanKindServer, span.SpanKind)
		require.False(t, span.Parent.IsValid())
		require.Equal(t, attributes["error.type"] != "", span.Status.Code == codes.Error, method)
		require.NotContains(t, span.Status.Description, "secret")
		require.True(t, span.EndTime.After(span.StartTime))
	}
}

func TestServerMetrics(t *testing.T) {
	d := serveDesk(t, rpcx.ServeConfig{MaxConns: 1})
	c, err := rpc.Dial("tcp", d.address)
	require.NoError(t, err)
	require.NoError(t, c.Call("Desk.Add", [2]int{1, 2}, new(int)))
	require.Error(t, c.Call("Desk.Refuse", "no", new(int)))
	wait := c.Go("Desk.Wait", 1, new(int), nil)
	<-d.began
	other, err := rpc.Dial("tcp", d.address)
	require.NoError(t, err)
	require.Error(t, other.Call("Desk.Add", [2]int{1, 2}, new(int)), "there is a connection too many")
	require.NoError(t, other.Close())
	require.NoError(t, c.Close())
	<-wait.Done
	d.stop()

	seen := d.collect(t)
	for series, n := range map[string]float64{
		"rpc.server.call.duration{rpc.method=Desk.Add,rpc.system.name=go_net_rpc}":                            1,
		"rpc.server.call.duration{error.type=server_error,rpc.method=Desk.Refuse,rpc.system.name=go_net_rpc}": 1,
		"rpc.server.call.duration{rpc.method=Desk.Wait,rpc.system.name=go_net_rpc}":                           1,
		"rpcx.server.refused{rpc.system.name=go_net_rpc}":                                                     1,
		"rpcx.server.canceled{rpc.system.name=go_net_rpc}":                                                    1,
		"rpcx.server.late{rpc.system.name=go_net_rpc}":                                                        0,
	} {
		got, ok := seen[series]
		require.True(t, ok, "%s in %v", series, seen)
		require.Equal(t, n, got, series)
	}
	require.Len(t, seen, 6)
}

// What is off has no hooks, and so costs a request nothing.
func TestServerHooksThatAreOff(t *testing.T) {
	hooks, err := otelrpcx.NewServer(otelrpcx.Config{
		TracerProvider: nooptrace.NewTracerProvider(),
		MeterProvider:  noopmetric.NewMeterProvider(),
	}, nil)
	require.NoError(t, err)
	require.Nil(t, hooks.RequestStart)
	require.Nil(t, hooks.RequestDone)
}
