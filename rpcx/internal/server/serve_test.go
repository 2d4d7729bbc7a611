package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
)

func TestServeStockClients(t *testing.T) {
	leak.Check(t)
	for name, dial := range map[string]func(network, address string) (*rpc.Client, error){
		"gob":  rpc.Dial,
		"json": stdjson.Dial,
	} {
		t.Run(name, func(t *testing.T) {
			lis, cfg := listen(t), config(t, new(Work))
			cfg.NewCodec = codecs[name].server
			stop := serve(lis, cfg)
			client, err := dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					for j := range 50 {
						var out int
						if err := client.Call("Work.Do", i*j, &out); err != nil || out != i*j {
							t.Errorf("%d is answered with %d, %v", i*j, out, err)
						}
					}
				})
			}
			wg.Wait()
			require.NoError(t, client.Close())
			require.NoError(t, stop())
		})
	}
}

// Gate holds its callers until it is opened.
type Gate struct {
	open    chan struct{}
	waiting sync.WaitGroup
}

// Pass implements a method.
func (g *Gate) Pass(_ int, _ *int) error {
	g.waiting.Done()
	<-g.open
	return nil
}

// countedListener counts the writes of its connections.
type countedListener struct {
	net.Listener
	writes atomic.Int64
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countedConn{c, &l.writes}, err
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Replies that become ready together leave together.
func TestServeCoalescesReplies(t *testing.T) {
	leak.Check(t)
	const calls = 200
	lis, gate := &countedListener{Listener: listen(t)}, &Gate{open: make(chan struct{})}
	gate.waiting.Add(calls)
	stop := serve(lis, config(t, gate))
	client, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	done := make(chan *rpc.Call, calls)
	for range calls {
		client.Go("Gate.Pass", 0, new(int), done)
	}
	gate.waiting.Wait()
	close(gate.open)
	for range calls {
		require.NoError(t, (<-done).Error)
	}
	require.Less(t, lis.writes.Load(), int64(calls*3/4))
	require.NoError(t, client.Close())
	require.NoError(t, stop())
}

// Of net/rpc's server, one panicking method ends the process, and one that ends its
// goroutine leaves its caller waiting for ever.
func TestServeOutlivesPanics(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				var log bytes.Buffer
				cfg := config(t, new(Work))
				cfg.NewCodec, cfg.Logger = c.server, slog.New(slog.NewTextHandler(&log, nil))
				stop := serve(network.Listen("s:1"), cfg)
				client := rpc.NewClientWithCodec(c.client(dial(t, network)))
				for _, method := range []string{"Work.Exit", "Work.Panic", "Work.Exit"} {
					var args any = 1
					if method == "Work.Panic" {
						args = "the secret"
					}
					err := client.Call(method, args, new(int))
					require.ErrorContains(t, err, "panicked")
					require.NotContains(t, err.Error(), "secret")
					var out int
					require.NoError(t, client.Call("Work.Do", 7, &out), "the connection has lived on")
					require.Equal(t, 7, out)
				}
				require.NoError(t, client.Close())
				require.NoError(t, stop())
				require.Contains(t, log.String(), "the secret")
				require.Contains(t, log.String(), "Work.Exit")
			})
		})
	}
}

func TestServeStopsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		cfg := config(t, new(Work))
		cfg.StopTimeout = 3 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		lis := network.Listen("s:1")
		go func() { ended <- Serve(ctx, lis, cfg) }()
		c := rpc.NewClient(dial(t, network))
		call := c.Go("Work.Sleep", time.Hour, new(int), nil)
		time.Sleep(time.Second)
		cancel()
		begin := time.Now()
		require.ErrorContains(t, <-ended, "rpcx: 1 request still ran 3s after the serving was to stop; its connection is closed")
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.Error(t, (<-call.Done).Error)
		c.Close()
	})
}
