package otelrpcx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/otelrpcx"
)

// Nap is the service of the tests.
type Nap struct{}

func (Nap) Take(d time.Duration, took *time.Duration) error {
	time.Sleep(d) // virtual
	*took = d
	return nil
}

func (Nap) Refuse(struct{}, *struct{}) error { return errors.New("not tired") }

// observed is a client of two servers in virtual time, and what was recorded of it.
type observed struct {
	*simnet.Network
	*rpcx.Client
	tracer  trace.Tracer
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
	first   string // where the first attempt went
}

func observe(t *testing.T, d rpcx.Dialer, f func(*testing.T, *observed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &observed{Network: simnet.New(), spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()}
		defer time.Sleep(time.Hour) // until the slowest method has run out
		defer o.Close()
		serve(t, o.Network, "a:1", "b:1")
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.spans))
		o.tracer = provider.Tracer("test")
		hooks, err := otelrpcx.New(otelrpcx.Config{
			TracerProvider: provider,
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.metrics)),
		})
		require.NoError(t, err)
		// Another listener whose spans are not to be taken for ours.
		d.Trace = hooks.Join(&rpcx.ClientTrace{
			CallStart: func(ctx context.Context, _ rpcx.CallInfo) context.Context {
				ctx, _ = sdktrace.NewTracerProvider().Tracer("other").Start(ctx, "other")
				return ctx
			},
			Pick: func(_ context.Context, i rpcx.PickInfo) {
				if o.first == "" {
					o.first = i.Endpoint
				}
			},
		})
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return o.DialContext(ctx, network, address)
		}
		o.Client, err = d.Dial("tcp", "a:1", "b:1")
		require.NoError(t, err)
		defer o.Client.Close()
		synctest.Wait()
		f(t, o)
	})
}

// Close closes the network.
func (o *observed) Close() { o.Network.Close() }

func serve(t *testing.T, n *simnet.Network, addrs ...string) {
	for _, addr := range addrs {
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
}

// named returns the spans of a name, in the order of their end.
func (o *observed) named(name string) []tracetest.SpanStub {
	var found []tracetest.SpanStub
	for _, s := range o.spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func attrs(s tracetest.SpanStub) map[string]string {
	m := make(map[string]string)
	for _, kv := range s.Attributes {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

// The server goes away under a call that may be repeated: one span for the call, with
// the caller's as its parent, and beneath it one for each attempt.
func TestSpansOfARetriedCall(t *testing.T) {
	d := rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}}
	observe(t, d, func(t *testing.T, o *observed) {
		ctx, parent := o.tracer.Start(t.Context(), "parent")
		time.AfterFunc(500*time.Millisecond, func() { o.Refuse(o.first); o.Cut(o.first) })
		begin := time.Now()
		require.NoError(t, o.CallContext(ctx, "Nap.Take", time.Second, new(time.Duration)))
		took := time.Since(begin)
		parent.End()

		calls := o.named("Nap.Take")
		require.Len(t, calls, 1)
		call := calls[0]
		require.Equal(t, parent.SpanContext().SpanID(), call.Parent.SpanID())
		require.Equal(t, trace.SpanKindClient, call.SpanKind)
		require.Equal(t, codes.Unset, call.Status.Code)
		require.Equal(t, took, call.EndTime.Sub(call.StartTime))
		require.Equal(t, map[string]string{"rpc.system.name": "go_net_rpc", "rpc.method": "Nap.Take", "rpcx.attempts": "2"}, attrs(call))
		require.Len(t, call.Events, 1)
		require.Equal(t, "retry", call.Events[0].Name)
		require.Contains(t, call.Events[0].Attributes, attribute.String("error.type", "connection_lost"))

		second := map[string]string{"a:1": "b", "b:1": "a"}[o.first]
		tries := o.named("Nap.Take attempt")
		require.Len(t, tries, 2)
		for i, want := range []map[string]string{
			{"server.address": o.first[:1], "rpcx.attempt": "1", "error.type": "connection_lost", "rpcx.sent": "maybe"},
			{"server.address": second, "rpcx.attempt": "2"},
		} {
			want["rpc.system.name"], want["rpc.method"], want["server.port"] = "go_net_rpc", "Nap.Take", "1"
			require.Equal(t, want, attrs(tries[i]))
			require.Equal(t, trace.SpanKindClient, tries[i].SpanKind)
			require.Equal(t, call.SpanContext.TraceID(), tries[i].SpanContext.TraceID())
			require.Equal(t, call.SpanContext.SpanID(), tries[i].Parent.SpanID(), "the call is the parent")
		}
		require.Equal(t, codes.Error, tries[0].Status.Code)
		require.Equal(t, codes.Unset, tries[1].Status.Code)
		require.Equal(t, 500*time.Millisecond, tries[0].EndTime.Sub(tries[0].StartTime).Round(10*time.Millisecond))
	})
}

// A call takes long and is hedged; both servers drop it, and it is tried again: one
// span for the call, and three beneath it.
func TestSpansOfAHedgedAndRetriedCall(t *testing.T) {
	d := rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}, Hedge: &rpcx.Hedge{Delay: 100 * time.Millisecond}}
	observe(t, d, func(t *testing.T, o *observed) {
		ctx, parent := o.tracer.Start(t.Context(), "parent")
		time.AfterFunc(500*time.Millisecond, func() { o.Cut("a:1"); o.Cut("b:1") })
		require.NoError(t, o.CallContext(ctx, "Nap.Take", time.Second, new(time.Duration)))
		parent.End()

		call := o.named("Nap.Take")[0]
		require.Equal(t, parent.SpanContext().SpanID(), call.Parent.SpanID())
		require.Equal(t, codes.Unset, call.Status.Code)
		require.Equal(t, "3", attrs(call)["rpcx.attempts"])
		require.Len(t, call.Events, 2)
		require.Equal(t, "hedge", call.Events[0].Name)
		require.Equal(t, []attribute.KeyValue{attribute.Int("rpcx.attempt", 2), attribute.Float64("rpcx.wait", 0.1)}, call.Events[0].Attributes)
		require.Equal(t, "retry", call.Events[1].Name)

		tries := o.named("Nap.Take attempt")
		require.Len(t, tries, 3)
		byNumber := make(map[string]tracetest.SpanStub)
		for _, s := range tries {
			require.Equal(t, call.SpanContext.SpanID(), s.Parent.SpanID(), "the call is the parent, of the hedge too")
			byNumber[attrs(s)["rpcx.attempt"]] = s
		}
		second := map[string]string{"a:1": "b", "b:1": "a"}[o.first]
		for number, want := range map[string]map[string]string{
			"1": {"server.address": o.first[:1], "error.type": "connection_lost", "rpcx.sent": "maybe"},
			"2": {"server.address": second, "error.type": "connection_lost", "rpcx.sent": "maybe", "rpcx.hedge": "true"},
			"3": {"server.address": attrs(byNumber["3"])["server.address"]},
		} {
			want["rpc.system.name"], want["rpc.method"], want["server.port"] = "go_net_rpc", "Nap.Take", "1"
			want["rpcx.attempt"] = number
			require.Equal(t, want, attrs(byNumber[number]))
		}
		began := func(n string) time.Duration { return byNumber[n].StartTime.Sub(call.StartTime) }
		require.Zero(t, began("1"))
		require.Equal(t, 100*time.Millisecond, began("2"))
		require.Greater(t, began("3"), 499*time.Millisecond)
		require.EqualValues(t, 1, o.collect(t)["rpcx.client.hedges{rpc.method=Nap.Take,rpc.system.name=go_net_rpc}"])
	})
}

// The span of an attempt that is slower than its hedge ends when it does.
func TestSpanOfALoser(t *testing.T) {
	d := rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}, Hedge: &rpcx.Hedge{Delay: 100 * time.Millisecond}}
	observe(t, d, func(t *testing.T, o *observed) {
		o.Delay("a:1", 200*time.Millisecond)
		o.Delay("b:1", 200*time.Millisecond)
		require.NoError(t, o.Call("Nap.Take", time.Millisecond, new(time.Duration)))
		require.Len(t, o.named("Nap.Take attempt"), 1)
		time.Sleep(time.Second)
		call, tries := o.named("Nap.Take")[0], o.named("Nap.Take attempt")
		require.Len(t, tries, 2)
		require.Equal(t, "true", attrs(tries[1])["rpcx.hedge"])
		require.Empty(t, attrs(tries[1])["error.type"])
		require.Equal(t, 100*time.Millisecond, tries[1].EndTime.Sub(call.EndTime))
	})
}

func TestSpansOfFailedCalls(t *testing.T) {
	observe(t, rpcx.Dialer{Retry: rpcx.Retry{Budget: 1e-9}}, func(t *testing.T, o *observed) {
		require.EqualError(t, o.Call("Nap.Refuse", struct{}{}, new(struct{})), "not tired")
		refused := o.named("Nap.Refuse")[0]
		require.Equal(t, codes.Error, refused.Status.Code)
		require.Equal(t, "not tired", refused.Status.Description)
		require.Equal(t, "server_error", attrs(refused)["error.type"])

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, o.CallContext(ctx, "Nap.Take", time.Minute, new(time.Duration)), context.DeadlineExceeded)
		late := attrs(o.named("Nap.Take")[0])
		require.Equal(t, "deadline_exceeded", late["error.type"])
		require.Equal(t, "maybe", late["rpcx.sent"])

		cut := func() {
			for _, a := range []string{"a:1", "b:1"} {
				o.Cut(a)
			}
		}
		for range 11 { // the budget has a stock of 10
			time.AfterFunc(time.Second, cut)
			o.CallContext(rpcx.WithIdempotent(t.Context()), "Nap.Take", 2*time.Second, new(time.Duration)) //nolint:errcheck // the last one fails
		}
		tried := o.named("Nap.Take")
		last := tried[len(tried)-1]
		require.Equal(t, "maybe", attrs(last)["rpcx.sent"])
		require.Equal(t, "retry budget exhausted", last.Events[len(last.Events)-1].Name)

		for _, a := range []string{"a:1", "b:1"} {
			o.Refuse(a)
		}
		cut()
		synctest.Wait()
		for range 5 {
			require.ErrorIs(t, o.Call("Nap.Take", time.Second, new(time.Duration)), rpcx.ErrUnavailable)
		}
		away := o.named("Nap.Take")
		last = away[len(away)-1]
		require.Equal(t, "unavailable", attrs(last)["error.type"])
		require.Equal(t, "no", attrs(last)["rpcx.sent"])
		require.Equal(t, "retry", last.Events[len(last.Events)-1].Name)
	})
}

func TestMetrics(t *testing.T) {
	d := rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}}
	observe(t, d, func(t *testing.T, o *observed) {
		time.AfterFunc(500*time.Millisecond, func() { o.Refuse(o.first); o.Cut(o.first) })
		require.NoError(t, o.Call("Nap.Take", time.Second, new(time.Duration)))
		require.Error(t, o.Call("Nap.Refuse", struct{}{}, new(struct{})))
		time.Sleep(10 * time.Second)
		o.Resume(o.first)
		time.Sleep(10 * time.Second)
		seen := o.collect(t)
		for series, n := range map[string]float64{
			"rpc.client.call.duration{rpc.method=Nap.Take,rpc.system.name=go_net_rpc}":                                1,
			"rpc.client.call.duration{error.type=server_error,rpc.method=Nap.Refuse,rpc.system.name=go_net_rpc}":      1,
			"rpcx.client.attempt.failures{error.type=connection_lost,rpc.method=Nap.Take,rpc.system.name=go_net_rpc}": 1,
			"rpcx.client.retries{rpc.method=Nap.Take,rpc.system.name=go_net_rpc}":                                     1,
			"rpcx.client.breaker.changes{rpcx.breaker.state=closed}":                                                  1,
		} {
			require.Equal(t, n, seen[series], "%s in %v", series, seen)
		}
		require.Positive(t, seen["rpcx.client.dials{error.type=dial_failed}"])
		require.EqualValues(t, 3, seen["rpcx.client.dials{}"])
	})
}

// collect returns the value of each counter, and the count of each histogram.
func (o *observed) collect(t *testing.T) map[string]float64 {
	var all metricdata.ResourceMetrics
	require.NoError(t, o.metrics.Collect(t.Context(), &all))
	seen := make(map[string]float64)
	for _, m := range all.ScopeMetrics[0].Metrics {
		name := func(set attribute.Set) string {
			return fmt.Sprintf("%s{%s}", m.Name, set.Encoded(attribute.DefaultEncoder()))
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				seen[name(p.Attributes)] = float64(p.Value)
			}
		case metricdata.Histogram[float64]:
			require.Equal(t, "s", m.Unit)
			for _, p := range data.DataPoints {
				seen[name(p.Attributes)] = float64(p.Count)
			}
		}
	}
	return seen
}

func TestRecallIsRecorded(t *testing.T) {
	d := serveDesk(t, rpcx.ServeConfig{})
	o := &observed{spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()} // the client
	hooks, err := otelrpcx.New(otelrpcx.Config{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.metrics)),
	})
	require.NoError(t, err)
	for name, call := range map[string]func(c *rpcx.Client) error{
		"CallContext": func(c *rpcx.Client) error { return c.CallContext(t.Context(), "Desk.Hold", 1, new(int)) },
		"Go":          func(c *rpcx.Client) error { return (<-c.Go("Desk.Hold", 1, new(int), nil).Done).Error },
	} {
		t.Run(name, func(t *testing.T) {
			o.spans.Reset()
			dialed := make(chan net.Conn, 10)
			dialer := rpcx.Dialer{Trace: hooks, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				dialed <- conn
				return conn, err
			}}
			c, err := dialer.Dial("tcp", d.address)
			require.NoError(t, err)
			defer c.Close()
			conn := <-dialed
			require.NoError(t, c.Call("Desk.Add", [2]int{1, 2}, new(int))) // the server's answer says that it keeps answers
			go func() {
				<-d.began
				conn.Close()
				d.held <- struct{}{}
			}()
			require.NoError(t, call(c))
			calls := o.named("Desk.Hold")
			require.Len(t, calls, 1)
			require.Len(t, calls[0].Events, 1)
			require.Equal(t, "recall", calls[0].Events[0].Name)
			require.Contains(t, calls[0].Events[0].Attributes, attribute.String("rpcx.recall.answer", "answered"))
		})
	}
	require.EqualValues(t, 2, o.collect(t)["rpcx.client.recalls{rpc.method=Desk.Hold,rpc.system.name=go_net_rpc,rpcx.recall.answer=answered}"])
}

// Method names may be made up as the program goes.
func TestMetricsAreBounded(t *testing.T) {
	metrics := sdkmetric.NewManualReader()
	hooks, err := otelrpcx.New(otelrpcx.Config{
		TracerProvider: sdktrace.NewTracerProvider(),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics), sdkmetric.WithCardinalityLimit(0)),
	})
	require.NoError(t, err)
	for i := range 1100 {
		method := fmt.Sprint("Made.Up", i)
		hooks.AttemptDone(t.Context(), rpcx.AttemptInfo{Method: method, Err: context.Canceled})
		hooks.Retry(t.Context(), rpcx.RetryInfo{Method: method})
		hooks.BudgetExhausted(t.Context(), rpcx.RetryInfo{Method: method})
		hooks.Hedge(t.Context(), rpcx.HedgeInfo{Method: method})
		hooks.Recall(t.Context(), rpcx.RecallInfo{Method: method, Answer: rpcx.RecallAnswered})
	}
	o := &observed{metrics: metrics}
	series := make(map[string]int)
	for name := range o.collect(t) {
		name, _, _ = strings.Cut(name, "{")
		series[name]++
	}
	require.Equal(t, map[string]int{
		"rpcx.client.attempt.failures": 1001, "rpcx.client.retries": 1001, "rpcx.client.budget_exhausted": 1001,
		"rpcx.client.hedges": 1001, "rpcx.client.recalls": 1001,
	}, series)
}
