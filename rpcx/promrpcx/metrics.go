// Package promrpcx shows clients of package rpcx, and servers that use rpcx.Serve, to
// Prometheus.
//
//	metrics := promrpcx.New()
//	dialer := rpcx.Dialer{Trace: metrics.Hooks()}
//	client, err := dialer.Dial("tcp", "a:1,b:2,c:3")
//	…
//	metrics.Watch(client)
//	prometheus.MustRegister(metrics)
//
// and on a server
//
//	stats := new(rpcx.ServeStats)
//	metrics := promrpcx.NewServer(stats)
//	cfg := rpcx.ServeConfig{Trace: metrics.Hooks(), Stats: stats}
//	prometheus.MustRegister(metrics)
//
// The state of endpoints and the client's totals are read from [rpcx.Client.Stats] at each
// scrape; durations, attempts and events are recorded by the hooks. Names begin with
// rpcx_client_, rpcx_endpoint_ or rpcx_server_; the label "error" is empty for success and
// otherwise a word of a small set, or JSON-RPC's error code. Beyond a thousand pairs of the
// labels "method" and "error", the method is "_OTHER", and the error "server_error" for a code.
//
// On the server, rpcx_server_request_duration_seconds has the requests that were run,
// rpcx_server_refused_total and rpcx_server_late_total count those that were not, and
// rpcx_server_canceled_total those whose callers left while they ran.
//
// Beside this file are alerts.yml, alerting rules for Prometheus, and
// dashboard.json, a dashboard for Grafana.
package promrpcx

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"resilientrpc/detector"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

// Metrics is a [prometheus.Collector] of one client. To tell several clients of a
// process apart, give each its own, registered with prometheus.WrapRegistererWith
// and a label. It is safe for concurrent use.
type Metrics struct {
	client atomic.Pointer[rpcx.Client]

	calls     *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	exhausted prometheus.Counter
	dials     *prometheus.CounterVec
	changes   *prometheus.CounterVec
	doubts    *prometheus.CounterVec
	views     *prometheus.CounterVec

	// What every call needs is found without a lock.
	callsBy    *telemetry.Series[prometheus.Observer]
	attemptsBy *telemetry.Series[prometheus.Counter] // by class alone: a server makes up its error codes
}

// buckets are from a call within a machine to one that has no deadline.
var buckets = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// New returns the metrics of a client that is yet to be dialed.
func New() *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rpcx_client_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rpcx_client_call_duration_seconds",
			Help:    "How long calls took, with all their attempts.",
			Buckets: buckets,
		}, []string{"method", "error"}),
		attempts: counter("attempts_total", "Attempts that ended.", "error"),
		exhausted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rpcx_client_budget_exhausted_total",
			Help: "Calls that were not tried again because the retry budget was spent.",
		}),
		dials:   counter("dials_total", "Dials that ended.", "error"),
		changes: counter("breaker_changes_total", "Changes of circuit breakers, by the state entered.", "state"),
		doubts:  counter("suspicions_total", "Verdicts of failure detectors.", "verdict"),
		views:   counter("views_total", "Times that the detector and the calls came to see an endpoint differently, or alike again.", "comparison"),
	}
	m.callsBy = telemetry.NewSeries(func(k telemetry.Key) prometheus.Observer {
		return m.calls.WithLabelValues(k.Method, k.Class)
	})
	m.attemptsBy = telemetry.NewSeries(func(k telemetry.Key) prometheus.Counter { return m.attempts.WithLabelValues(k.Class) })
	m.attemptsBy.Get(telemetry.Key{})
	m.begin()
	return m
}

// begin gives every series that is known beforehand its zero: Prometheus sees no
// increase in one that begins at 1.
func (m *Metrics) begin() {
	for _, v := range []rpcx.Verdict{rpcx.Trusted, rpcx.Suspected, rpcx.Convicted, rpcx.Spared, rpcx.LocalFault} {
		m.doubts.WithLabelValues(v.String())
	}
	for _, c := range []detector.Comparison{detector.Agree, detector.GrayFailure, detector.FalseAlarm} {
		m.views.WithLabelValues(c.String())
	}
	for _, s := range states {
		m.changes.WithLabelValues(s.String())
	}
}

// Hooks returns hooks for Dialer.Trace; [rpcx.ClientTrace.Join] adds others.
func (m *Metrics) Hooks() *rpcx.ClientTrace {
	return &rpcx.ClientTrace{
		CallDone: func(_ context.Context, i rpcx.CallInfo) {
			m.callsBy.Get(telemetry.Key{Method: i.Method, Class: telemetry.Class(i.Err)}).Observe(i.Duration.Seconds())
		},
		AttemptDone: func(_ context.Context, i rpcx.AttemptInfo) {
			m.attemptsBy.Get(telemetry.Key{Class: telemetry.Class(i.Err)}).Inc()
		},
		BudgetExhausted: func(context.Context, rpcx.RetryInfo) { m.exhausted.Inc() },
		ConnDone:        func(i rpcx.ConnInfo) { m.dials.WithLabelValues(telemetry.Class(i.Err)).Inc() },
		BreakerChanged:  func(i rpcx.BreakerInfo) { m.changes.WithLabelValues(i.To.String()).Inc() },
		Suspicion:       func(i rpcx.SuspicionInfo) { m.doubts.WithLabelValues(i.Verdict.String()).Inc() },
		ViewsDiffer:     func(i rpcx.ViewsInfo) { m.views.WithLabelValues(i.Comparison.String()).Inc() },
	}
}

// Watch makes c the client whose statistics are collected, in place of any other. Before the
// first Watch, only the metrics of the hooks are collected.
func (m *Metrics) Watch(c *rpcx.Client) { m.client.Store(c) }

// counted are the metrics that the hooks keep.
func (m *Metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.attempts, m.exhausted, m.dials, m.changes, m.doubts, m.views}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.counted() {
		c.Describe(ch)
	}
	describeStats(ch)
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.counted() {
		c.Collect(ch)
	}
	if c := m.client.Load(); c != nil {
		collectStats(c.Stats(), ch)
	}
}
