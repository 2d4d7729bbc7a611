package promrpcx

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A figure is a metric that is read from the statistics of a T.
type figure[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*T) float64
}

func counter[T any](name, help string, of func(*T) float64, labels ...string) figure[T] {
	return figure[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, of}
}

func gauge[T any](name, help string, of func(*T) float64, labels ...string) figure[T] {
	return figure[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, of}
}

type (
	client   = rpcx.Stats
	endpoint = rpcx.EndpointStats
)

var ofClient = []figure[client]{
	counter("rpcx_client_calls_total", "Calls begun.",
		func(s *client) float64 { return float64(s.Calls) }),
	counter("rpcx_client_call_failures_total", "Calls that returned an error, of the method or of any other kind.",
		func(s *client) float64 { return float64(s.Failures) }),
	counter("rpcx_client_retries_total", "Attempts after one that was given to a server, without hedges.",
		func(s *client) float64 { return float64(s.Retries) }),
	counter("rpcx_client_hedges_total", "Second attempts, because a call took long or its endpoint was suspect.",
		func(s *client) float64 { return float64(s.Hedges) }),
	counter("rpcx_client_hedges_won_total", "Second attempts that were answered first.",
		func(s *client) float64 { return float64(s.HedgesWon) }),
	counter("rpcx_client_doubts_resolved_total", "Calls whose connection broke and whose server said what became of them.",
		func(s *client) float64 { return float64(s.DoubtsResolved) }),
	counter("rpcx_client_doubts_unresolved_total", "Calls whose connection broke and whose server keeps answers and could not say what became of them.",
		func(s *client) float64 { return float64(s.DoubtsUnresolved) }),
	gauge("rpcx_client_in_flight", "Calls that have begun and not ended.",
		func(s *client) float64 { return float64(s.InFlight) }),
	gauge("rpcx_client_retry_budget", "Retries that are allowed now; -1 without a limit.",
		func(s *client) float64 { return s.Budget }),
}

var ofEndpoint = []figure[endpoint]{
	gauge("rpcx_endpoint_up", "1 if the endpoint takes calls: its breaker is closed, or off and there is a connection.",
		func(s *endpoint) float64 {
			return truth(s.State == breaker.Closed || s.State == breaker.Disabled && s.Connected)
		}, "endpoint"),
	gauge("rpcx_endpoint_breaker_state", "State of the circuit breaker: 0 closed, 1 open, 2 half-open, 3 forced open, 4 disabled.",
		func(s *endpoint) float64 { return float64(s.State) }, "endpoint"),
	gauge("rpcx_endpoint_connected", "1 if there is a connection to the endpoint.",
		func(s *endpoint) float64 { return truth(s.Connected) }, "endpoint"),
	gauge("rpcx_endpoint_phi", "Level of suspicion of the failure detector: at 1 others are preferred, at the threshold (8) the endpoint is convicted.",
		func(s *endpoint) float64 { return s.Phi }, "endpoint"),
	gauge("rpcx_endpoint_in_flight", "Attempts in flight, including those that wait for a connection.",
		func(s *endpoint) float64 { return float64(s.InFlight) }, "endpoint"),
	gauge("rpcx_endpoint_latency_seconds", "Smoothed latency, in which peaks weigh more; 0 before the second call.",
		func(s *endpoint) float64 { return s.Latency.Seconds() }, "endpoint"),
	counter("rpcx_endpoint_picks_total", "Attempts for which the endpoint was chosen.",
		func(s *endpoint) float64 { return float64(s.Picks) }, "endpoint"),
	gauge("rpcx_endpoint_connections", "Open connections.",
		func(s *endpoint) float64 { return float64(s.Conns) }, "endpoint"),
	counter("rpcx_endpoint_read_bytes_total", "Bytes that came from the endpoint.",
		func(s *endpoint) float64 { return float64(s.BytesRead) }, "endpoint"),
	counter("rpcx_endpoint_written_bytes_total", "Bytes for the endpoint, those that wait to leave included.",
		func(s *endpoint) float64 { return float64(s.BytesWritten) }, "endpoint"),
}

// endpoints is a sum over all, for users that do not want a series for each.
var endpoints = prometheus.NewDesc("rpcx_client_endpoints", "Endpoints, by the state of their breaker.", []string{"state"}, nil)

var states = []breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.Disabled}

func describeStats(ch chan<- *prometheus.Desc) {
	for _, f := range ofClient {
		ch <- f.desc
	}
	ch <- endpoints
	for _, f := range ofEndpoint {
		ch <- f.desc
	}
}

func collectStats(s rpcx.Stats, ch chan<- prometheus.Metric) {
	for _, f := range ofClient {
		ch <- &sample{f.desc, f.kind, f.of(&s), nil}
	}
	in := make(map[breaker.State]int)
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		in[e.State]++
		labels := prometheus.MakeLabelPairs(ofEndpoint[0].desc, []string{e.Address})
		for _, f := range ofEndpoint {
			ch <- &sample{f.desc, f.kind, f.of(e), labels}
		}
	}
	for _, state := range states {
		ch <- prometheus.MustNewConstMetric(endpoints, prometheus.GaugeValue, float64(in[state]), state.String())
	}
}

// A sample is a figure at one moment. It is what prometheus.NewConstMetric returns,
// but for the labels: an endpoint's figures share them.
type sample struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []*dto.LabelPair
}

// Desc implements [prometheus.Metric].
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write implements [prometheus.Metric].
func (s *sample) Write(out *dto.Metric) error {
	out.Label = s.labels
	if s.kind == prometheus.CounterValue {
		out.Counter = &dto.Counter{Value: &s.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
