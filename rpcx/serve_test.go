package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
)

// serving runs Serve over lis until the returned function is called, which
// returns what Serve returned.
func serving(t *testing.T, lis net.Listener, rcvr any, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) (stop func() error) {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(rcvr))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rpcx.Serve(ctx, lis, server, newCodec) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestServeStockClients(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		codec func(io.ReadWriteCloser) rpc.ServerCodec
		dial  func(network, address string) (*rpc.Client, error)
	}{
		"gob":  {nil, rpc.Dial},
		"json": {codec.NewJSONServer, stdjson.Dial},
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			stop := serving(t, lis, Arith{}, c.codec)
			client, err := c.dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					for j := range 50 {
						var product int
						if err := client.Call("Arith.Multiply", Args{i, j}, &product); err != nil || product != i*j {
							t.Errorf("%d*%d = %d, %v", i, j, product, err)
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

// What runs is answered before the connection ends; what comes meanwhile is
// refused, and goes elsewhere although it is not idempotent.
func TestServeDrains(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		ln := f.Listen("s:1")
		stop := serving(t, ln, &Bank{name: "s:1", ledger: f.ledger}, nil)
		f.addrs = []string{"s:1"}
		c := f.dial()
		defer c.Close()
		stock, err := f.DialContext(t.Context(), "tcp", "s:1")
		require.NoError(t, err)
		theirs := rpc.NewClient(stock)
		defer theirs.Close()
		f.addrs = []string{"s:1", "a:1"}
		both := f.dial()
		defer both.Close()
		time.Sleep(20 * time.Second) // past slow start
		require.Len(t, where(t, both, 20), 2)

		var name string
		slow := c.Go("Bank.Sleep", 5*time.Second, &name, nil)
		theirs.Go("Bank.Sleep", 5*time.Second, new(string), nil)
		for range 2 { // one each, if not in this order
			both.Go("Bank.Sleep", 5*time.Second, new(string), nil)
		}
		time.Sleep(time.Second)
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		time.Sleep(time.Second)
		require.ErrorContains(t, theirs.Call("Bank.Where", struct{}{}, new(string)), "draining")
		require.Equal(t, map[string]int{"a:1": 20}, where(t, both, 20))
		require.ErrorContains(t, c.Call("Bank.Deposit", Deposit{ID: 1}, new(int)), "refused", "there is nowhere to go")
		require.Zero(t, f.ledger.count(1))

		<-slow.Done
		require.NoError(t, slow.Error)
		require.Equal(t, "s:1", name)
		require.NoError(t, <-ended)
	})
}

// moody fails to accept now and then.
type moody struct {
	net.Listener
	moods atomic.Int64
	err   error
}

func (l *moody) Accept() (net.Conn, error) {
	if l.moods.Add(-1) >= 0 {
		return nil, l.err
	}
	return l.Listener.Accept()
}

// temporary is an error that says of itself that it passes.
type temporary bool

func (t temporary) Error() string   { return fmt.Sprintf("temporary: %t", bool(t)) }
func (t temporary) Temporary() bool { return bool(t) }

// net/rpc's Accept ends for good at the first error.
func TestServeOutlivesFailingAccepts(t *testing.T) {
	for name, err := range map[string]error{
		"a listener's own": temporary(true),
		"wrapped":          fmt.Errorf("no more: %w", temporary(true)),
		"net's":            &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)},
		"of the system":    fmt.Errorf("accept: %w", syscall.ENFILE),
		"of the peer":      os.NewSyscallError("accept4", syscall.ECONNABORTED),
		"of memory":        os.NewSyscallError("accept4", syscall.ENOBUFS),
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				lis := &moody{Listener: f.Listen("s:1"), err: err}
				lis.moods.Store(5)
				stop := serving(t, lis, &Bank{name: "s:1", ledger: f.ledger}, nil)
				f.addrs = []string{"s:1"}
				c := f.dial()
				begin := time.Now()
				where(t, c, 1)
				require.Less(t, time.Since(begin), time.Second)
				require.NoError(t, c.Close())
				require.NoError(t, stop())
			})
		})
	}
}

// What says that a listener is closed is its own affair: cmux, yamux and bufconn have
// errors for it that are not net.ErrClosed, and Serve did not return.
func TestServeEndsWithItsListener(t *testing.T) {
	for _, err := range []error{
		errors.New("session shutdown"),
		io.EOF,
		io.ErrClosedPipe,
		temporary(false),
		&net.OpError{Op: "accept", Err: errors.New("use of closed")},
		os.NewSyscallError("accept4", syscall.EINVAL),
	} {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.New()
				lis := &moody{Listener: network.Listen("s:1"), err: err}
				lis.moods.Store(1 << 62)
				begin := time.Now()
				require.Equal(t, err, rpcx.Serve(t.Context(), lis, nil, nil), "it is the listener's, bare")
				require.Zero(t, time.Since(begin))
				_, err := network.DialContext(t.Context(), "tcp", "s:1")
				require.Error(t, err, "it has been closed")
			})
		})
	}
}

func TestServeReturnsWhenItsListenerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, lis.Close())
		require.ErrorIs(t, rpcx.Serve(t.Context(), lis, nil, nil), net.ErrClosed)
	})
}

// Gate holds its callers until it is opened.
type Gate struct {
	open    chan struct{}
	waiting sync.WaitGroup
}

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
func TestServeGathersReplies(t *testing.T) {
	leak.Check(t)
	const calls = 200
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	lis, gate := &countedListener{Listener: tcp}, &Gate{open: make(chan struct{})}
	gate.waiting.Add(calls)
	stop := serving(t, lis, gate, nil)
	client, err := rpc.Dial("tcp", tcp.Addr().String())
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

// Moody is a service whose methods do not always return.
type Moody struct{ calls atomic.Int64 }

// Panic implements a method.
func (*Moody) Panic(reason string, _ *int) error { panic(reason) }

// Exit implements a method.
func (*Moody) Exit(int, *int) error {
	runtime.Goexit()
	return nil
}

// Work implements a method.
func (m *Moody) Work(in int, out *int) error {
	m.calls.Add(1)
	*out = in
	return nil
}

// Of net/rpc's server, one panicking method ends the process, and one that ends its
// goroutine leaves its caller waiting for ever.
func TestServeOutlivesPanics(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				server := rpc.NewServer()
				require.NoError(t, server.Register(new(Moody)))
				var log bytes.Buffer
				cfg := rpcx.ServeConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				lis := f.Listen("s:1")
				go func() { ended <- cfg.Serve(ctx, lis, server, c.server) }()
				f.addrs, f.dialer.Codec = []string{"s:1"}, c.client
				client := f.dial()
				for _, method := range []string{"Moody.Exit", "Moody.Panic", "Moody.Exit"} {
					var args any = 1
					if method == "Moody.Panic" {
						args = "the secret"
					}
					err := client.Call(method, args, new(int))
					require.ErrorContains(t, err, "panicked")
					require.NotContains(t, err.Error(), "secret")
					var out int
					require.NoError(t, client.Call("Moody.Work", 7, &out))
					require.Equal(t, 7, out)
				}
				require.Equal(t, 1, f.Open("s:1"), "the connection has lived on")
				require.NoError(t, client.Close())
				cancel()
				require.NoError(t, <-ended)
				require.Contains(t, log.String(), "the secret")
				require.Contains(t, log.String(), "Moody.Exit")
			})
		})
	}
}

// codecs are those whose two ends are ours.
var codecs = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":   {codec.NewGobClient, codec.NewGobServer},
	"json":  {codec.NewJSONClient, codec.NewJSONServer},
	"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
}

// The refusal of a server that drains is told apart from a method's error.
func TestServeDrainsOverJSON2(t *testing.T) {
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.addrs, f.dialer.Codec = []string{"s:1", "s:2"}, codec.NewJSON2Client
		var banks [2]*Moody
		var stops [2]func() error
		for i, a := range f.addrs {
			banks[i] = new(Moody)
			stops[i] = serving(t, f.Listen(a), banks[i], codec.NewJSON2Server)
		}
		c := f.dial()
		time.Sleep(20 * time.Second)
		ended := make(chan error, 1)
		go func() { ended <- stops[0]() }()
		synctest.Wait()
		for i := range 20 {
			var out int
			require.NoError(t, c.Call("Moody.Work", i, &out), "it is not idempotent")
			require.Equal(t, i, out)
		}
		require.NoError(t, <-ended)
		require.EqualValues(t, 20, banks[0].calls.Load()+banks[1].calls.Load())
		require.NoError(t, c.Close())
		require.NoError(t, stops[1]())
	})
}

func TestServeStopsInTime(t *testing.T) {
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		server := rpc.NewServer()
		require.NoError(t, server.Register(&Bank{name: "s:1", ledger: f.ledger}))
		lis := f.Listen("s:1")
		cfg := rpcx.ServeConfig{StopTimeout: 3 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()
		f.addrs = []string{"s:1"}
		c := f.dial()
		call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		time.Sleep(time.Second)
		cancel()
		begin := time.Now()
		require.ErrorContains(t, <-ended, "1 requests still ran 3s after")
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.Error(t, (<-call.Done).Error)
		require.NoError(t, c.Close())
	})
}

// A ping of ours is answered with how busy the server is.
func TestServeAnswersPings(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		stop := serving(t, f.Listen("s:1"), &Bank{name: "s:1", ledger: f.ledger}, nil)
		f.addrs = []string{"s:1", "a:1"} // the latter is net/rpc's own
		c := f.dial()
		calls := make(chan *rpcx.Call, 10)
		for range 10 {
			c.Go("Bank.Sleep", 10*time.Second, new(string), calls)
		}
		time.Sleep(5 * time.Second)
		for _, e := range c.Stats().Endpoints {
			switch e.Address {
			case "s:1":
				require.Equal(t, e.InFlight, e.ServerRunning)
				require.Positive(t, e.ServerRunning)
			default:
				require.Equal(t, -1, e.ServerRunning)
			}
		}
		for range 10 {
			require.NoError(t, (<-calls).Error)
		}
		require.NoError(t, c.Close())
		require.NoError(t, stop())
	})
}
