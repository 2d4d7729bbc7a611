package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// bounded serves at most max connections at s:1, until the returned function is called.
// It logs into log.
func bounded(t *testing.T, f *fleet, max int, log io.Writer, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) (stop func()) {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(&Bank{name: "s:1", ledger: f.ledger}))
	cfg := rpcx.ServeConfig{MaxConns: max, StopTimeout: -1, Logger: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	ended, lis := make(chan error, 1), f.Listen("s:1")
	go func() { ended <- cfg.Serve(ctx, lis, server, newCodec) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

// occupy has n connections of stock clients at s:1, on each of which a call runs for d.
func occupy(t *testing.T, f *fleet, n int, newCodec func(io.ReadWriteCloser) rpc.ClientCodec, d time.Duration) {
	t.Helper()
	for range n {
		conn, err := f.DialContext(t.Context(), "tcp", "s:1")
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		rpc.NewClientWithCodec(newCodec(conn)).Go("Bank.Sleep", d, new(string), nil)
	}
	synctest.Wait()
}

// Beyond MaxConns, no call of a client of ours fails while there is another server, and
// none has run twice, or "maybe"; each refused connection had a line in the log.
func TestServeRefusesProvablyBeyondMaxConns(t *testing.T) {
	t.Parallel()
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				var log bytes.Buffer
				stop := bounded(t, f, 2, &log, c.server)
				occupy(t, f, 2, c.client, time.Minute)
				other := serving(t, f.Listen("s:2"), &Bank{name: "s:2", ledger: f.ledger}, c.server)
				f.dialer.Codec = c.client

				f.addrs = []string{"s:1"}
				alone := f.dial()
				err := alone.CallContext(t.Context(), "Bank.Deposit", Deposit{ID: -1}, new(int))
				require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
				require.ErrorContains(t, err, "all the connections")
				require.Zero(t, f.ledger.count(-1))
				require.NoError(t, alone.Close())

				f.addrs = []string{"s:1", "s:2"}
				both := f.dial()
				for i := range 100 {
					require.NoError(t, both.Call("Bank.Deposit", Deposit{ID: i}, new(int)))
					require.Equal(t, 1, f.ledger.count(i))
					time.Sleep(100 * time.Millisecond)
				}
				require.NoError(t, both.Close())
				stop()
				require.NoError(t, other())
			})
		})
	}
}

// Hundreds of clients at once are each refused provably, and summed up in the log.
func TestServeSumsUpRefusedConnections(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		var log bytes.Buffer
		stop := bounded(t, f, 1, &log, nil)
		occupy(t, f, 1, codec.NewGobClient, time.Minute)
		f.addrs = []string{"s:1"}
		f.dialer.Retry.MaxAttempts, f.dialer.Heartbeat = 1, -1
		var wg sync.WaitGroup
		var mu sync.Mutex
		sent := make(map[rpcx.Sent]int)
		for range 300 {
			wg.Go(func() {
				c := f.dial()
				defer c.Close()
				err := c.CallContext(t.Context(), "Bank.Deposit", Deposit{ID: 1}, new(int))
				mu.Lock()
				defer mu.Unlock()
				sent[callError(t, err).Sent]++
			})
		}
		wg.Wait()
		require.Equal(t, map[rpcx.Sent]int{rpcx.NotSent: 300}, sent)
		require.Zero(t, f.ledger.count(1))
		stop()
		lines := strings.Count(log.String(), "connections refused")
		require.Positive(t, lines)
		require.Less(t, lines, 20, "one a second")
	})
}

// More connections than can be refused at a time wait to be accepted.
func TestServeAcceptsNoMoreThanItCanRefuse(t *testing.T) {
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		stop := bounded(t, f, 1, io.Discard, nil)
		occupy(t, f, 1, codec.NewGobClient, time.Minute)
		var idle []net.Conn
		for range 1500 {
			conn, err := f.DialContext(t.Context(), "tcp", "s:1")
			if err != nil {
				break // the network's own backlog is full
			}
			idle = append(idle, conn)
			synctest.Wait()
		}
		require.Greater(t, len(idle), 1100)
		require.Less(t, runtime.NumGoroutine(), 1100, "one for each that is accepted")
		time.Sleep(10 * time.Second)
		f.addrs = []string{"s:1"}
		c := f.dial()
		err := c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
		require.NoError(t, c.Close())
		for _, conn := range idle {
			_, err := io.Copy(io.Discard, conn)
			require.NoError(t, err, "it was ended in order")
			conn.Close()
		}
		stop()
	})
}

// Idle connections, and requests that do not go on, do not hold all places for ever.
func TestServeGivesIdlePlacesAway(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(t *testing.T, conn net.Conn){
		"silent": func(*testing.T, net.Conn) {},
		"half a request": func(t *testing.T, conn net.Conn) {
			_, err := conn.Write([]byte{40, 255})
			require.NoError(t, err)
		},
		"a request byte by byte": func(t *testing.T, conn net.Conn) {
			go func() {
				for b := []byte{255}; ; time.Sleep(time.Second) {
					if _, err := conn.Write(b); err != nil {
						return
					}
					b[0] = 0
				}
			}()
		},
		"pings alone": func(t *testing.T, conn net.Conn) {
			go func() {
				for c := rpc.NewClient(conn); ; time.Sleep(time.Second) {
					if err := c.Call("rpcx.Ping", struct{}{}, new(struct{})); errors.Is(err, rpc.ErrShutdown) {
						return
					}
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				stop := bounded(t, f, 4, io.Discard, nil)
				occupy(t, f, 1, codec.NewGobClient, time.Minute) // which is busy
				var idle []net.Conn
				for range 3 {
					conn, err := f.DialContext(t.Context(), "tcp", "s:1")
					require.NoError(t, err)
					idle = append(idle, conn)
					hold(t, conn)
				}
				time.Sleep(10 * time.Second)
				f.addrs = []string{"s:1"}
				for range 3 {
					c := f.dial()
					defer c.Close()
					where(t, c, 10)
				}
				time.Sleep(5 * time.Second) // the clients know how pings are taken
				require.LessOrEqual(t, f.Open("s:1"), 4+3)
				for _, conn := range idle {
					conn.Close()
				}
				stop()
			})
		})
	}
}
