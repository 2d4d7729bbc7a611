package promrpcx_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/promrpcx"
)

// patience is how long the test waits for what takes a second or two.
const patience = time.Minute

// Prometheus itself, scraping a client of real server processes: one is killed, and
// the alert fires; it is back, and the alert is over.
func TestAlertOfAKilledProcess(t *testing.T) {
	prom := tool(t, "prometheus")
	leak.Check(t)
	servers := []*chaos.Server{chaos.StartServer(t, "127.0.0.1"), chaos.StartServer(t, "127.0.0.1")}
	m := promrpcx.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	d := rpcx.Dialer{Trace: m.Hooks(), Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}}
	client, err := d.Dial("tcp", servers[0].Addr, servers[1].Addr)
	require.NoError(t, err)
	defer client.Close()
	m.Watch(client)
	exporter := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer exporter.Close()
	defer load(t, client)()
	p := startPrometheus(t, prom, exporter.Listener.Addr().String())

	p.eventually(`count(rpcx_endpoint_up == 1) == 2`, "both are up")
	require.Empty(t, p.query(`ALERTS{alertname="RpcxEndpointDown"}`))
	servers[1].Kill()
	p.eventually(`ALERTS{alertname="RpcxEndpointDown", alertstate="firing", endpoint="`+servers[1].Addr+`"}`, "the alert fires")
	require.Empty(t, p.query(`ALERTS{alertname="RpcxNoEndpoint"}`))
	for _, q := range readDashboard(t).queries() {
		p.query(q) // fails the test if Prometheus does not understand it
	}
	for _, q := range []string{
		`sum(rate(rpcx_client_call_duration_seconds_count{error="",method="Vault.Peek"}[10s])) > 0`,
		`rpcx_client_endpoints{state="closed"} == 1`,
		`sum(rpcx_client_dials_total{error="dial_failed"}) > 0`,
	} {
		require.NotEmpty(t, p.query(q), q)
	}
	servers[1].Start()
	p.eventually(`count(rpcx_endpoint_up == 1) == 2`, "it is back")
	p.eventually(`absent(ALERTS{alertname="RpcxEndpointDown"})`, "the alert is over")
}

// load calls the client until the function that it returns is called.
func load(t *testing.T, c *rpcx.Client) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for id := uint64(2); ; id += 101 { // none that the method refuses
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			var reply chaos.Slip
			if err := c.Call("Vault.Peek", chaos.NewSlip(id), &reply); err != nil || reply != chaos.NewSlip(id) {
				t.Errorf("call %d: %v", id, err)
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// A promServer is a Prometheus of the test's own.
type promServer struct {
	t   *testing.T
	url string
}

// startPrometheus lets Prometheus scrape target five times a second, with the rules
// of alerts.yml, in which minutes are made seconds.
func startPrometheus(t *testing.T, exe, target string) *promServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	write("rules.yml", strings.NewReplacer("for: 1m", "for: 1s", "for: 2m", "for: 2s", "for: 15s", "for: 1s").Replace(string(rules)))
	config := write("prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [rules.yml]
scrape_configs:
  - job_name: client
    static_configs: [{targets: [%q]}]
`, target))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := lis.Addr().String()
	lis.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.Command(exe, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		cmd.Wait()         //nolint:errcheck // its status is ours
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s", text)
		}
	})
	p := &promServer{t, "http://" + addr}
	require.Eventually(t, func() bool {
		r, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond)
	return p
}

// query returns the labels of each series of an expression's value.
func (p *promServer) query(expr string) []map[string]string {
	p.t.Helper()
	r, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	require.NoError(p.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	var answer struct {
		Status string
		Data   struct {
			Result []struct{ Metric map[string]string }
		}
	}
	require.NoError(p.t, json.Unmarshal(body, &answer), "%s", body)
	require.Equal(p.t, "success", answer.Status, "%s: %s", expr, body)
	var series []map[string]string
	for _, s := range answer.Data.Result {
		series = append(series, s.Metric)
	}
	return series
}

// eventually waits until an expression has a value.
func (p *promServer) eventually(expr, what string) {
	p.t.Helper()
	for end := time.Now().Add(patience); len(p.query(expr)) == 0; time.Sleep(50 * time.Millisecond) {
		require.True(p.t, time.Now().Before(end), "not within %v: %s", patience, what)
	}
}
