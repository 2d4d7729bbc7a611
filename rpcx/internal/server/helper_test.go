package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// codecs are the two ends of each wire format.
var codecs = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":   {codec.NewGobClient, codec.NewGobServer},
	"json":  {codec.NewJSONClient, codec.NewJSONServer},
	"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
}

// config returns a Config that serves rcvr in gob.
func config(t testing.TB, rcvr any) Config {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(rcvr))
	return Config{Server: server, NewCodec: codec.NewGobServer, StopTimeout: 30 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// serve runs Serve over lis until the returned function is called, which returns what
// Serve returned.
func serve(lis net.Listener, cfg Config) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, lis, cfg) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// listen returns a listener on a real socket.
func listen(t testing.TB) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return lis
}

// inBubble runs f in virtual time, with a network in memory.
func inBubble(t *testing.T, f func(t *testing.T, network *simnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hangs := time.AfterFunc(72*time.Hour, func() { panic("the test hangs") }) // the clock of a server goes on
		defer hangs.Stop()
		network := simnet.New()
		defer time.Sleep(2 * time.Hour) // until the slowest method has returned
		defer network.Close()
		f(t, network)
	})
}

// dial returns a connection to a server on network.
func dial(t *testing.T, network *simnet.Network) net.Conn {
	t.Helper()
	conn, err := network.DialContext(t.Context(), "tcp", "s:1")
	require.NoError(t, err)
	return conn
}

// Work is a service whose methods do not always return.
type Work struct{ calls atomic.Int64 }

// Panic implements a method.
func (*Work) Panic(reason string, _ *int) error { panic(reason) }

// Exit implements a method.
func (*Work) Exit(int, *int) error {
	runtime.Goexit()
	return nil
}

// Do implements a method.
func (w *Work) Do(in int, out *int) error {
	w.calls.Add(1)
	*out = in
	return nil
}

// Sleep implements a method.
func (*Work) Sleep(d time.Duration, _ *int) error {
	time.Sleep(d)
	return nil
}
