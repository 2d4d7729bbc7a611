package promrpcx

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

// ServerMetrics is a [prometheus.Collector] of one server, or of several that are counted
// together. It is safe for concurrent use.
type ServerMetrics struct {
	stats      *rpcx.ServeStats
	requests   *prometheus.HistogramVec
	requestsBy *telemetry.Series[prometheus.Observer]
}

// NewServer returns the metrics of a server. stats is the value of ServeConfig.Stats; with nil,
// the counts of requests that were refused, late or canceled are left out.
func NewServer(stats *rpcx.ServeStats) *ServerMetrics {
	m := &ServerMetrics{stats: stats, requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rpcx_server_request_duration_seconds",
		Help:    "How long requests took that were run, the writing of the reply included.",
		Buckets: buckets,
	}, []string{"method", "error"})}
	m.requestsBy = telemetry.NewSeries(func(k telemetry.Key) prometheus.Observer {
		return m.requests.WithLabelValues(k.Method, k.Class)
	})
	return m
}

// Hooks returns hooks for ServeConfig.Trace; [rpcx.ServerTrace.Join] adds others.
func (m *ServerMetrics) Hooks() *rpcx.ServerTrace {
	return &rpcx.ServerTrace{RequestDone: func(_ context.Context, i rpcx.RequestInfo) {
		m.requestsBy.Get(telemetry.Key{Method: i.Method, Class: telemetry.Class(i.Err)}).Observe(i.Duration.Seconds())
	}}
}

type served = rpcx.ServeCounts

var ofServer = []figure[served]{
	counter("rpcx_server_refused_total", "Requests that were not run because the server stops or has too many connections.",
		func(s *served) float64 { return float64(s.Refused) }),
	counter("rpcx_server_late_total", "Requests that were not run because their deadline had passed.",
		func(s *served) float64 { return float64(s.Late) }),
	counter("rpcx_server_canceled_total", "Requests whose caller left while they ran.",
		func(s *served) float64 { return float64(s.Canceled) }),
}

// Describe implements [prometheus.Collector].
func (m *ServerMetrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	if m.stats == nil {
		return
	}
	for _, f := range ofServer {
		ch <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (m *ServerMetrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	if m.stats == nil {
		return
	}
	counts := m.stats.Counts()
	for _, f := range ofServer {
		ch <- &sample{f.desc, f.kind, f.of(&counts), nil}
	}
}
