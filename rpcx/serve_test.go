package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
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

// What runs is answered before the connection ends; what comes meanwhile is
// refused, and goes elsewhere although it is not idempotent.
func TestServeDrains(t *testing.T) {
	t.Parallel()
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

// Moody is a service whose methods do not always return.
type Moody struct{ calls atomic.Int64 }

// Work implements a method.
func (m *Moody) Work(in int, out *int) error {
	m.calls.Add(1)
	*out = in
	return nil
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
	t.Parallel()
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

// A ping of ours is answered with how busy the server is.
func TestServeAnswersPings(t *testing.T) {
	t.Parallel()
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

func TestServeRefusesANegativeMaxConns(t *testing.T) {
	cfg := rpcx.ServeConfig{MaxConns: -1}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, cfg.Serve(t.Context(), lis, nil, nil), "ServeConfig.MaxConns is -1")
	_, err = lis.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "it closes its listener in any case")
}

// Without a listener there is nothing to serve. The server and the codec have defaults.
func TestServeWithoutAListener(t *testing.T) {
	for name, lis := range map[string]net.Listener{"nil": nil, "nil pointer": (*net.TCPListener)(nil)} {
		require.EqualError(t, rpcx.Serve(t.Context(), lis, rpc.NewServer(), codec.NewGobServer), "rpcx: Serve is given no listener", name)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, rpcx.Serve(ctx, lis, nil, nil))
}
