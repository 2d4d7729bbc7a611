package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

// serveJSON starts n JSON-RPC servers.
func (f *fleet) serveJSON(n int, client func(io.ReadWriteCloser) rpc.ClientCodec, server func(io.ReadWriteCloser) rpc.ServerCodec) {
	f.dialer.Codec = client
	f.serve = func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(server(conn)) }
	for i := range n {
		addr := fmt.Sprintf("%c:1", 'a'+i)
		f.addrs = append(f.addrs, addr)
		f.Delay(addr, time.Millisecond)
		f.start(addr)
	}
}

// A notification runs once, and moves to another replica if it was not sent.
func TestNotify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"json":  {codec.NewJSONClient, codec.NewJSONServer}, // which answers
		"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				f.serveJSON(2, c.client, c.server)
				ended := 0
				f.dialer.Trace = &rpcx.ClientTrace{CallDone: func(_ context.Context, info rpcx.CallInfo) {
					if info.Err == nil && info.Attempts > 0 {
						ended++
					}
				}}
				client := f.dial()
				defer client.Close()
				synctest.Wait()
				for id := range 50 {
					require.NoError(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: id}))
				}
				time.Sleep(time.Second) // they arrive
				f.kill("a:1")
				for id := range 50 {
					require.NoError(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: 100 + id}))
				}
				where(t, client, 10)
				time.Sleep(time.Second)
				for id := range 50 {
					require.Equal(t, 1, f.ledger.count(id))
					require.Equal(t, 1, f.ledger.count(100+id))
				}
				require.Equal(t, 110, ended)
				stats := client.Stats()
				require.EqualValues(t, 110, stats.Calls)
				require.Zero(t, stats.Failures)
				require.NoError(t, client.Close())
				require.Equal(t, rpcx.ErrShutdown, client.Notify(t.Context(), "Bank.Deposit", Deposit{}))
			})
		})
	}
}

// One that cannot be sent says why, and is no fault of the endpoint.
func TestNotifyErrors(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) { // gob
		client := f.dial()
		defer client.Close()
		err := client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: 1})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "the connection's codec has no notifications")
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
		require.Equal(t, 1, callError(t, err).Attempts)
		where(t, client, 1)
		require.Zero(t, f.ledger.count(1))
		require.Equal(t, breaker.Closed, client.Stats().Endpoints[0].State)
	})
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.serveJSON(1, codec.NewJSON2Client, codec.NewJSON2Server)
		client := f.dial()
		defer client.Close()
		var encode *codec.EncodeError
		require.ErrorAs(t, client.Notify(t.Context(), "Bank.Deposit", make(chan int)), &encode)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, client.Notify(ctx, "Bank.Deposit", Deposit{ID: 1}), context.Canceled)
		f.kill("a:1")
		time.Sleep(100 * time.Millisecond)
		require.ErrorIs(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: 1}), rpcx.ErrUnavailable)
		require.Zero(t, f.ledger.count(1))
	})
}

// A notification says nothing of the endpoint: it neither closes a breaker that tries it, nor
// takes the place of the call that does, nor makes a throttle turn calls away.
func TestNotificationsProveNothing(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.serveJSON(1, codec.NewJSON2Client, codec.NewJSON2Server)
		f.dialer.Heartbeat = -1 // calls try it, and not pings
		f.dialer.Retry.MaxAttempts = -1
		f.dialer.Throttle = new(breaker.ThrottleConfig)
		client := f.dial()
		defer client.Close()
		for id := range 1000 {
			require.NoError(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: id}))
		}
		require.NoError(t, client.Trip("a:1", time.Second, "a test"))
		require.ErrorIs(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{}), rpcx.ErrUnavailable)
		time.Sleep(2 * time.Second)
		for range 20 {
			require.NoError(t, client.Notify(t.Context(), "Bank.Deposit", Deposit{ID: 5000}))
			require.Equal(t, breaker.HalfOpen, client.Stats().Endpoints[0].State)
		}
		time.Sleep(10 * time.Second)
		where(t, client, 1)
		require.Equal(t, 20, f.ledger.count(5000))
	})
}

// Serve carries a notification out and sends nothing.
func TestServeAnswersNoNotification(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bank := &Bank{ledger: &ledger{runs: make(map[int]int)}}
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", bank))
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- rpcx.Serve(ctx, lis, server, codec.NewJSON2Server) }()
	conn, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	for _, request := range []string{
		`{"jsonrpc":"2.0","method":"Bank.Deposit","params":{"ID":1}}`,
		`{"jsonrpc":"2.0","method":"Bank.Refuse","params":["no"]}`,
		`{"jsonrpc":"2.0","method":"Bank.Nope"}`,
		`[{"jsonrpc":"2.0","method":"Bank.Deposit","params":{"ID":1}}]`,
	} {
		_, err = io.WriteString(conn, request+"\n")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return bank.ledger.count(1) == 2 }, 10*time.Second, time.Millisecond)
	stop()
	answers, err := io.ReadAll(conn) // until it closes the idle connection
	require.NoError(t, err)
	require.Empty(t, string(answers))
	require.NoError(t, <-served)
}

// Over HTTP, each answer that servers give to a notification will do.
func TestNotifyOverHTTP(t *testing.T) {
	for what, answer := range map[string]http.HandlerFunc{
		"204": httpStatus(204, "", ""), "202": httpStatus(202, "", ""), "200": httpStatus(200, "", ""),
		"answered": httpStatus(200, "", `{"jsonrpc":"2.0","result":1,"id":null}`),
		"500":      httpStatus(500, "", "oops"),
	} {
		t.Run(what, func(t *testing.T) {
			var told atomic.Int64
			var wg sync.WaitGroup
			wg.Add(10)
			s := newWeb(t, map[string]http.HandlerFunc{"Tell": func(w http.ResponseWriter, r *http.Request) {
				answer(w, r)
				told.Add(1)
				wg.Done()
			}}, nil)
			d, conns := overHTTP(jsonhttp.Config{})
			c := dialWeb(t, d, s.addr())
			for range 10 {
				require.NoError(t, c.Notify(t.Context(), "Do.Tell", 1))
				require.NoError(t, c.Call("Do.Fine", 1, new(int)))
			}
			wg.Wait()
			require.EqualValues(t, 10, told.Load())
			require.EqualValues(t, 1, conns.Load())
			require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
		})
	}
}
