package otelrpcx_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/otelrpcx"
)

// hopEnv has the hopConfig of a process that is a hop of a chain.
const hopEnv = "OTELRPCX_HOP"

func TestMain(m *testing.M) {
	if config := os.Getenv(hopEnv); config != "" {
		if err := runHop(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// wires are the codecs of the chains.
var wires = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
	stock  func(*rpc.Server, io.ReadWriteCloser)
}{
	"gob":  {codec.NewGobClient, codec.NewGobServer, (*rpc.Server).ServeConn},
	"json": {codec.NewJSONClient, codec.NewJSONServer, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(jsonrpc.NewServerCodec(c)) }},
}

type hopConfig struct {
	Wire       string
	Behind     string // address of the next hop; empty for the last one
	Stock      bool   // it is served by net/rpc
	BareServer bool   // its server has no hooks
	BareClient bool   // its client has none
}

// Hop is the service of the processes.
type Hop struct {
	behind *rpcx.Client // nil for the last one
	spans  *tracetest.InMemoryExporter
}

// Args are those of Relay.
type Args struct{ Fail string }

// Seen is what the method of a hop finds in its context.
type Seen struct {
	Trace   string
	Sampled bool
	State   string
}

// Span is a span of another process.
type Span struct {
	Name, Kind, Trace, ID, Parent, State string
	Remote                               bool // the parent
	Failed                               bool
}

// Relay answers with what each hop from here on has seen.
func (h *Hop) Relay(args *Args, reply *[]Seen) error {
	ctx := rpcx.ContextOf(args)
	span := trace.SpanContextFromContext(ctx)
	seen := []Seen{{span.TraceID().String(), span.IsSampled(), span.TraceState().String()}}
	if h.behind != nil {
		var more []Seen
		if err := h.behind.CallContext(ctx, "Hop.Relay", args, &more); err != nil {
			return err
		}
		seen = append(seen, more...)
	} else if args.Fail != "" {
		return rpc.ServerError(args.Fail)
	}
	*reply = seen
	return nil
}

// Spans answers with the spans of Relay that have ended.
func (h *Hop) Spans(_ int, reply *[]Span) error {
	*reply = relayed(h.spans)
	return nil
}

func relayed(in *tracetest.InMemoryExporter) []Span {
	out := []Span{} // net/rpc/jsonrpc takes a reply that is null for none
	for _, s := range in.GetSpans() {
		if strings.HasPrefix(s.Name, "Hop.Relay") {
			out = append(out, Span{
				Name: s.Name, Kind: s.SpanKind.String(),
				Trace: s.SpanContext.TraceID().String(), ID: s.SpanContext.SpanID().String(), State: s.SpanContext.TraceState().String(),
				Parent: s.Parent.SpanID().String(), Remote: s.Parent.IsRemote(), Failed: s.Status.Description != "",
			})
		}
	}
	return out
}

// dialHop returns a client whose spans go to spans, and the provider of these.
func dialHop(wire, address string, spans *tracetest.InMemoryExporter, bare bool) (*rpcx.Client, *sdktrace.TracerProvider, error) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)) // which samples what its parent does
	d := rpcx.Dialer{Codec: wires[wire].client}
	if !bare {
		hooks, err := otelrpcx.New(otelrpcx.Config{TracerProvider: provider, MeterProvider: noopmetric.NewMeterProvider()})
		if err != nil {
			return nil, nil, err
		}
		d.Trace = hooks
	}
	c, err := d.Dial("tcp", address)
	return c, provider, err
}

// runHop serves until its standard input ends. It writes its address to the standard output.
func runHop(text string) error {
	var cfg hopConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	h := &Hop{spans: tracetest.NewInMemoryExporter()}
	if cfg.Behind != "" {
		c, _, err := dialHop(cfg.Wire, cfg.Behind, h.spans, cfg.BareClient)
		if err != nil {
			return err
		}
		h.behind = c
	}
	server := rpc.NewServer()
	if err := server.Register(h); err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(lis.Addr())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end counts
		stop()
		lis.Close()
	}()
	if cfg.Stock {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return nil //nolint:nilerr // it is the end
			}
			go wires[cfg.Wire].stock(server, conn)
		}
	}
	var serving rpcx.ServeConfig
	if !cfg.BareServer {
		serving.Trace, err = otelrpcx.NewServer(otelrpcx.Config{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(h.spans)),
			MeterProvider:  noopmetric.NewMeterProvider(),
		}, nil)
		if err != nil {
			return err
		}
	}
	return serving.Serve(ctx, lis, server, wires[cfg.Wire].server)
}

// startHop starts a process that is a hop, and returns its address.
func startHop(t *testing.T, cfg hopConfig) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), hopEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // likewise
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}
