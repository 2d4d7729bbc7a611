package promrpcx_test

import (
	"context"
	"net"
	"net/rpc"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/promrpcx"
)

// Nap is the service of the tests.
type Nap struct{}

func (Nap) Take(d time.Duration, took *time.Duration) error {
	time.Sleep(d) // virtual
	*took = d
	return nil
}

func (Nap) Refuse(why string, _ *struct{}) error { return rpc.ServerError(why) }

// watched runs f in virtual time with a client of "a:1" and "b:1" and its metrics.
func watched(t *testing.T, f func(*testing.T, *simnet.Network, *rpcx.Client, *prometheus.Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		for _, addr := range []string{"a:1", "b:1"} {
			server := rpc.NewServer()
			require.NoError(t, server.Register(Nap{}))
			n.Delay(addr, time.Millisecond)
			lis := n.Listen(addr)
			go func() {
				for {
					conn, err := lis.Accept()
					if err != nil {
						return
					}
					go server.ServeConn(conn)
				}
			}()
		}
		m := promrpcx.New()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(m)
		require.NotEmpty(t, gather(t, registry), "before there is a client")
		d := rpcx.Dialer{
			Trace:   m.Hooks(),
			Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}},
			Hedge:   &rpcx.Hedge{Delay: time.Second},
			NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				return n.DialContext(ctx, network, address)
			},
		}
		c, err := d.Dial("tcp", "a:1", "b:1")
		require.NoError(t, err)
		defer c.Close()
		m.Watch(c)
		synctest.Wait()
		f(t, n, c, registry)
	})
}

// gather is a scrape: the text of each series, and its value.
func gather(t *testing.T, r prometheus.Gatherer) map[string]string {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	seen := make(map[string]string)
	for _, f := range families {
		var text strings.Builder
		_, err := expfmt.MetricFamilyToText(&text, f)
		require.NoError(t, err)
		for line := range strings.Lines(text.String()) {
			if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
				seen[series+"}"] = value
			} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
				seen[name] = value
			}
		}
	}
	return seen
}

// A client of one connection has no breaker. It is down when the connection has ended.
func TestClientOfOneConnectionThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := promrpcx.New()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(m)
		client, server := net.Pipe()
		d := rpcx.Dialer{Trace: m.Hooks()}
		c, err := d.NewClient(client)
		require.NoError(t, err)
		defer c.Close()
		m.Watch(c)
		go rpc.NewServer().ServeConn(server)
		synctest.Wait()
		up := func() string { return gather(t, registry)[`rpcx_endpoint_up{endpoint="pipe"}`] }
		require.Equal(t, "1", up())
		server.Close()
		time.Sleep(5 * time.Second)
		require.Equal(t, "0", up())
	})
}

func TestMetrics(t *testing.T) {
	watched(t, func(t *testing.T, n *simnet.Network, c *rpcx.Client, r *prometheus.Registry) {
		for range 50 {
			require.NoError(t, c.Call("Nap.Take", 2*time.Millisecond, new(time.Duration)))
		}
		require.Error(t, c.Call("Nap.Refuse", "no", new(struct{})))
		n.Refuse("a:1")
		n.Cut("a:1")
		time.Sleep(4 * time.Second)
		away := gather(t, r)
		for series, want := range map[string]string{
			`rpcx_client_calls_total`:                                                           "51",
			`rpcx_client_call_failures_total`:                                                   "1",
			`rpcx_client_call_duration_seconds_count{error="",method="Nap.Take"}`:               "50",
			`rpcx_client_call_duration_seconds_bucket{error="",method="Nap.Take",le="0.0025"}`:  "0",
			`rpcx_client_call_duration_seconds_bucket{error="",method="Nap.Take",le="0.005"}`:   "50",
			`rpcx_client_call_duration_seconds_count{error="server_error",method="Nap.Refuse"}`: "1",
			`rpcx_client_attempts_total{error=""}`:                                              "50",
			`rpcx_client_dials_total{error=""}`:                                                 "2",
			`rpcx_client_breaker_changes_total{state="closed"}`:                                 "0",
			`rpcx_client_suspicions_total{verdict="convicted"}`:                                 "0",
			`rpcx_client_endpoints{state="closed"}`:                                             "1",
			`rpcx_endpoint_up{endpoint="a:1"}`:                                                  "0",
			`rpcx_endpoint_up{endpoint="b:1"}`:                                                  "1",
			`rpcx_endpoint_connected{endpoint="a:1"}`:                                           "0",
			`rpcx_endpoint_connected{endpoint="b:1"}`:                                           "1",
		} {
			require.Equal(t, want, away[series], series)
		}
		require.NotEqual(t, "0", away[`rpcx_client_dials_total{error="dial_failed"}`])
		n.Resume("a:1")
		time.Sleep(10 * time.Second)
		back := gather(t, r)
		require.Equal(t, "1", back[`rpcx_endpoint_up{endpoint="a:1"}`])
		require.Equal(t, "0", back[`rpcx_endpoint_breaker_state{endpoint="a:1"}`])
		require.Equal(t, "1", back[`rpcx_client_breaker_changes_total{state="closed"}`])
		n.Stall("b:1")
		time.Sleep(10 * time.Second)
		require.Equal(t, "1", gather(t, r)[`rpcx_client_suspicions_total{verdict="convicted"}`])
		n.Resume("b:1")
	})
}

func TestHedgesAreCounted(t *testing.T) {
	watched(t, func(t *testing.T, n *simnet.Network, c *rpcx.Client, r *prometheus.Registry) {
		require.NoError(t, c.Call("Nap.Take", 2*time.Second, new(time.Duration))) // the first wins
		time.Sleep(5 * time.Second)
		time.AfterFunc(500*time.Millisecond, func() {
			for _, e := range c.Stats().Endpoints {
				if e.InFlight > 0 { // the first attempt is there, which fails when there are two
					time.AfterFunc(time.Second, func() { n.Cut(e.Address) })
				}
			}
		})
		require.NoError(t, c.Call("Nap.Take", 3*time.Second, new(time.Duration)))
		seen := gather(t, r)
		require.Equal(t, "2", seen["rpcx_client_hedges_total"])
		require.Equal(t, "1", seen["rpcx_client_hedges_won_total"])
	})
}

// The linter's rules are Prometheus' own, and promtool has some more.
func TestMetricsAreWellNamed(t *testing.T) {
	promtool := tool(t, "promtool")
	watched(t, func(t *testing.T, _ *simnet.Network, c *rpcx.Client, r *prometheus.Registry) {
		require.NoError(t, c.Call("Nap.Take", time.Millisecond, new(time.Duration)))
		problems, err := testutil.GatherAndLint(r)
		require.NoError(t, err)
		require.Empty(t, problems)

		families, err := r.Gather()
		require.NoError(t, err)
		var text strings.Builder
		for _, f := range families {
			_, err := expfmt.MetricFamilyToText(&text, f)
			require.NoError(t, err)
		}
		check(t, promtool, text.String(), "check", "metrics")
	})
}

// check runs a command that is to be content with what it reads, and to say nothing.
func check(t *testing.T, name, in string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// A server may make up its error codes.
func TestMetricsAreBounded(t *testing.T) {
	m := promrpcx.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	hooks := m.Hooks()
	for code := range 1100 {
		hooks.AttemptDone(t.Context(), rpcx.AttemptInfo{Method: "Nap.Take", Err: &codec.Error{Code: code}})
	}
	series := 0
	for name := range gather(t, registry) {
		if strings.HasPrefix(name, "rpcx_client_attempts_total") {
			series++
		}
	}
	require.Equal(t, 1001, series)
}
