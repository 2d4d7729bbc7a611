package promrpcx_test

import (
	"context"
	"log/slog"
	"net"
	"net/rpc"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/promrpcx"
)

// Desk is the service of a server with metrics.
type Desk struct{ began chan struct{} }

// Add implements a method.
func (*Desk) Add(terms [2]int, sum *int) error {
	*sum = terms[0] + terms[1]
	return nil
}

// Refuse implements a method.
func (*Desk) Refuse(why string, _ *int) error { return rpc.ServerError(why) }

// Panic implements a method.
func (*Desk) Panic(why string, _ *int) error { panic(why) }

// Wait ends with its context.
func (d *Desk) Wait(n *int, _ *int) error {
	d.began <- struct{}{}
	<-rpcx.ContextOf(n).Done()
	return nil
}

func TestServerMetrics(t *testing.T) {
	promtool := tool(t, "promtool")
	leak.Check(t)
	stats := new(rpcx.ServeStats)
	m := promrpcx.NewServer(stats)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	cfg := rpcx.ServeConfig{Trace: m.Hooks(), Stats: stats, MaxConns: 1, Logger: slog.New(slog.DiscardHandler)}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	desk, server := &Desk{make(chan struct{}, 1)}, rpc.NewServer()
	require.NoError(t, server.Register(desk))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()

	c, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, c.Call("Desk.Add", [2]int{1, 2}, new(int)))
	}
	require.Error(t, c.Call("Desk.Refuse", "no", new(int)))
	require.Error(t, c.Call("Desk.Panic", "no", new(int)))
	require.Error(t, c.Call("Desk.Missing", 1, new(int)))
	wait := c.Go("Desk.Wait", 1, new(int), nil)
	<-desk.began
	other, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	require.Error(t, other.Call("Desk.Add", [2]int{1, 2}, new(int)), "there is a connection too many")
	require.NoError(t, other.Close())
	require.NoError(t, c.Close())
	<-wait.Done
	stop()
	require.NoError(t, <-ended)

	seen := gather(t, registry)
	for series, want := range map[string]string{
		`rpcx_server_request_duration_seconds_count{error="",method="Desk.Add"}`:                "3",
		`rpcx_server_request_duration_seconds_count{error="server_error",method="Desk.Refuse"}`: "1",
		`rpcx_server_request_duration_seconds_count{error="panic",method="Desk.Panic"}`:         "1",
		`rpcx_server_request_duration_seconds_count{error="",method="Desk.Wait"}`:               "1",
		`rpcx_server_refused_total`:  "1",
		`rpcx_server_late_total`:     "0",
		`rpcx_server_canceled_total`: "1",
	} {
		require.Equal(t, want, seen[series], "%s in %v", series, seen)
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := registry.Gather()
	require.NoError(t, err)
	var text strings.Builder
	for _, f := range families {
		require.NotContains(t, f.String(), "Missing", "names that clients make up are no labels")
		_, err := expfmt.MetricFamilyToText(&text, f)
		require.NoError(t, err)
	}
	check(t, promtool, text.String(), "check", "metrics")
}

// Without statistics there is what the hooks count.
func TestServerMetricsWithoutStats(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := promrpcx.NewServer(nil)
	registry.MustRegister(m)
	m.Hooks().RequestDone(t.Context(), rpcx.RequestInfo{Method: "A.B"})
	require.Equal(t, 1, testutil.CollectAndCount(m))
	require.Equal(t, "1", gather(t, registry)[`rpcx_server_request_duration_seconds_count{error="",method="A.B"}`])
}
