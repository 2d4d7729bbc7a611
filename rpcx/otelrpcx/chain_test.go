package otelrpcx_test

import (
	"context"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"resilientrpc/rpcx"
)

// chain is a client in this process, A, of a process B, which calls a process C.
type chain struct {
	*rpcx.Client
	spans    *tracetest.InMemoryExporter
	provider *sdktrace.TracerProvider
	b, c     string // addresses
	wire     string
}

func startChain(t *testing.T, b hopConfig) *chain {
	t.Helper()
	s := &chain{spans: tracetest.NewInMemoryExporter(), wire: b.Wire}
	s.c = startHop(t, hopConfig{Wire: b.Wire})
	b.Behind = s.c
	s.b = startHop(t, b)
	var err error
	s.Client, s.provider, err = dialHop(b.Wire, s.b, s.spans, false)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// rooted returns a context with the span of a caller, as of an HTTP request that is served.
func rooted(flags trace.TraceFlags) (context.Context, trace.SpanContext) {
	var id trace.TraceID
	copy(id[:], time.Now().AppendFormat(nil, "150405.000000000"))
	state, _ := trace.ParseTraceState("vendor=x,other=y")
	root := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: trace.SpanID{1, 2}, TraceFlags: flags, TraceState: state, Remote: true,
	})
	return trace.ContextWithSpanContext(context.Background(), root), root
}

// relay makes a call, once the hops know of each other: until n of them have seen its trace.
func (s *chain) relay(t *testing.T, flags trace.TraceFlags, n int) (trace.SpanContext, []Seen) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		ctx, root := rooted(flags)
		var seen []Seen
		require.NoError(t, s.CallContext(ctx, "Hop.Relay", &Args{}, &seen))
		require.Len(t, seen, 2)
		found := 0
		for _, hop := range seen {
			if hop.Trace == root.TraceID().String() {
				found++
			}
		}
		if found == n {
			return root, seen
		}
		require.True(t, time.Now().Before(end), "%v have seen %v", seen, root.TraceID())
	}
}

// of waits until there are n spans of a trace in the process at an address, and returns them
// by name and kind.
func (s *chain) of(t *testing.T, address, traceID string, n int) map[string]Span {
	t.Helper()
	c, _, err := dialHop(s.wire, address, nil, true)
	require.NoError(t, err)
	defer c.Close()
	var found map[string]Span
	require.Eventually(t, func() bool {
		var all []Span
		err = c.Call("Hop.Spans", 0, &all)
		found = pick(all, traceID)
		return err == nil && len(found) == n
	}, 20*time.Second, 10*time.Millisecond, "not %d spans", n)
	return found
}

func pick(all []Span, traceID string) map[string]Span {
	found := make(map[string]Span)
	for _, s := range all {
		if s.Trace == traceID {
			found[s.Name+" "+s.Kind] = s
		}
	}
	return found
}

func onWires(t *testing.T, f func(t *testing.T, wire string)) {
	for wire := range wires {
		t.Run(wire, func(t *testing.T) { f(t, wire) })
	}
}

const (
	theCall    = "Hop.Relay client"
	theAttempt = "Hop.Relay attempt client"
	theRequest = "Hop.Relay server"
)

// Three processes, and one trace: each span has the one before it as its parent.
func TestTraceOverTwoHops(t *testing.T) {
	onWires(t, func(t *testing.T, wire string) {
		s := startChain(t, hopConfig{Wire: wire})
		root, seen := s.relay(t, trace.FlagsSampled, 2)
		for _, hop := range seen {
			require.True(t, hop.Sampled)
			require.Equal(t, root.TraceState().String(), hop.State)
		}
		id := root.TraceID().String()
		a, b, c := pick(relayed(s.spans), id), s.of(t, s.b, id, 3), s.of(t, s.c, id, 1)
		require.Len(t, a, 2)
		parent := root.SpanID().String()
		for i, hop := range []struct {
			spans map[string]Span
			name  string
		}{{a, theCall}, {a, theAttempt}, {b, theRequest}, {b, theCall}, {b, theAttempt}, {c, theRequest}} {
			span, ok := hop.spans[hop.name]
			require.True(t, ok, "%d: %s in %v", i, hop.name, hop.spans)
			require.Equal(t, parent, span.Parent, "%d: %s", i, hop.name)
			require.Equal(t, i == 0 || hop.name == theRequest, span.Remote, "%d: %s", i, hop.name)
			require.Equal(t, root.TraceState().String(), span.State, "%d: %s", i, hop.name)
			require.False(t, span.Failed)
			parent = span.ID
		}
	})
}

// What is not sampled here is not sampled there, either, and keeps its identifiers.
func TestUnsampledTraceOverTwoHops(t *testing.T) {
	onWires(t, func(t *testing.T, wire string) {
		s := startChain(t, hopConfig{Wire: wire})
		unsampled, seen := s.relay(t, 0, 2)
		for _, hop := range seen {
			require.False(t, hop.Sampled)
			require.Equal(t, unsampled.TraceState().String(), hop.State)
		}
		sampled, _ := s.relay(t, trace.FlagsSampled, 2)
		for address, n := range map[string]int{s.b: 3, s.c: 1} { // these have ended after those that there must not be
			s.of(t, address, sampled.TraceID().String(), n)
			s.of(t, address, unsampled.TraceID().String(), 0)
		}
		require.Empty(t, pick(relayed(s.spans), unsampled.TraceID().String()))
	})
}

// An error at the end of the chain is one in each of its spans.
func TestErrorOverTwoHops(t *testing.T) {
	s := startChain(t, hopConfig{Wire: "gob"})
	s.relay(t, trace.FlagsSampled, 2)
	ctx, root := rooted(trace.FlagsSampled)
	require.Equal(t, rpc.ServerError("no"), s.CallContext(ctx, "Hop.Relay", &Args{Fail: "no"}, new([]Seen)))
	id := root.TraceID().String()
	for _, spans := range []map[string]Span{pick(relayed(s.spans), id), s.of(t, s.b, id, 3), s.of(t, s.c, id, 1)} {
		for name, span := range spans {
			require.True(t, span.Failed, name)
		}
	}
}

// A trace ends at a server of net/rpc, which is none the wiser; its calls begin another one.
func TestTraceEndsAtAStockServer(t *testing.T) {
	onWires(t, func(t *testing.T, wire string) {
		s := startChain(t, hopConfig{Wire: wire, Stock: true})
		for range 3 {
			root, seen := s.relay(t, trace.FlagsSampled, 0)
			id := root.TraceID().String()
			require.Equal(t, trace.TraceID{}.String(), seen[0].Trace)
			require.NotEqual(t, id, seen[1].Trace)
			s.of(t, s.c, seen[1].Trace, 1)
			s.of(t, s.b, id, 0)
			require.Len(t, pick(relayed(s.spans), id), 2)
		}
	})
}

// Where only one of the two ends of a process has hooks, or neither, the trace goes on.
func TestTraceGoesThroughABareHop(t *testing.T) {
	for name, c := range map[string]struct {
		hop   hopConfig
		seen  int      // hops whose methods find the trace
		spans []string // of the process, each the parent of the next
	}{
		"no hooks":        {hopConfig{BareServer: true, BareClient: true}, 1, nil},
		"hooks of client": {hopConfig{BareServer: true}, 1, []string{theCall, theAttempt}},
		"hooks of server": {hopConfig{BareClient: true}, 2, []string{theRequest}},
	} {
		t.Run(name, func(t *testing.T) {
			c.hop.Wire = "gob"
			s := startChain(t, c.hop)
			root, _ := s.relay(t, trace.FlagsSampled, c.seen)
			id := root.TraceID().String()
			parent := pick(relayed(s.spans), id)[theAttempt].ID
			request := s.of(t, s.c, id, 1)[theRequest]
			spans := s.of(t, s.b, id, len(c.spans))
			for i, name := range c.spans {
				require.Equal(t, parent, spans[name].Parent, name)
				require.Equal(t, i == 0, spans[name].Remote, name)
				parent = spans[name].ID
			}
			require.Equal(t, parent, request.Parent)
			require.True(t, request.Remote)
		})
	}
}
