package rpcx_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A silent connection is replaced by the one that was made to ping beside it. If a call makes
// another one at that moment, one of the two is used, and the other one is closed, whichever
// comes first.
func TestOneConnectionTakesThePlaceOfASilentOne(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]time.Duration{"the dial ends first": time.Millisecond, "the dial ends last": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				for _, addr := range []string{"a1:1", "a2:1", "a3:1"} {
					f.start(addr)
				}
				f.Delay("a3:1", dial)
				var next atomic.Value
				next.Store("a1:1")
				f.dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return f.DialContext(ctx, network, next.Load().(string))
				}
				var c *rpcx.Client
				var starts, closed atomic.Int64
				called := make(chan error, 1)
				f.dialer.Trace = &rpcx.ClientTrace{
					ConnStart: func(rpcx.ConnInfo) {
						if starts.Add(1) != 2 {
							return
						}
						next.Store("a3:1")
						go func() { called <- c.Call("Bank.Where", struct{}{}, new(string)) }()
						time.Sleep(10 * time.Millisecond)
					},
					ConnClosed: func(rpcx.ConnInfo) { closed.Add(1) },
				}
				c = f.dial()
				defer c.Close()
				time.Sleep(10300 * time.Millisecond)
				next.Store("a2:1")
				slow := c.Go("Bank.Sleep", time.Hour, new(string), nil)
				f.Stall("a1:1")
				require.NoError(t, <-called)
				require.EqualValues(t, 3, starts.Load())
				<-slow.Done
				require.ErrorIs(t, slow.Error, rpcx.ErrUnresponsive)
				time.Sleep(time.Minute)
				require.Equal(t, 1, c.Stats().Endpoints[0].Conns)
				require.EqualValues(t, 2, closed.Load())
				where(t, c, 10)
			})
		})
	}
}

// A ping that fails says nothing of the server: neither that it does not say how busy it is, nor
// that it does not understand metadata.
func TestFailedPingSaysNothingOfTheServer(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		ledgers := make(map[string]*ledger)
		for _, addr := range []string{"s1:1", "s2:1", "s3:1", "s4:1", "scout:1"} {
			ledgers[addr] = &ledger{runs: make(map[int]int)}
			stop := serving(t, f.Listen(addr), &Bank{ledger: ledgers[addr]}, codec.NewJSON2Server)
			defer stop() //nolint:errcheck // the network ends
		}
		f.addrs, f.dialer.Codec, f.dialer.Conns = []string{"s:1"}, codec.NewJSON2Client, 2
		var dials, conns atomic.Int64
		var next atomic.Value
		next.Store("scout:1")
		f.dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			addr := next.Load().(string)
			if n := dials.Add(1); n <= 2 {
				addr = fmt.Sprintf("s%d:1", n)
			}
			return f.DialContext(ctx, network, addr)
		}
		var armed atomic.Bool
		cut := make(chan struct{})
		f.dialer.Trace = &rpcx.ClientTrace{
			ConnDone: func(rpcx.ConnInfo) { conns.Add(1) },
			Ping: func(rpcx.PingInfo) { // the prober looks at the connection only once it is over
				if armed.CompareAndSwap(true, false) {
					f.Cut("s3:1")
					time.Sleep(10 * time.Millisecond)
					close(cut)
				}
			},
		}
		c := f.dial()
		defer c.Close()
		time.Sleep(10300 * time.Millisecond)
		endpoint := func() rpcx.EndpointStats { return c.Stats().Endpoints[0] }
		require.Equal(t, codec.MetaUnderstood, endpoint().MetaSupport)
		require.Zero(t, endpoint().ServerRunning)

		next.Store("s3:1")
		c.Go("Bank.SlowDeposit", Deposit{ID: 1, Amount: 60}, new(int), nil)
		time.Sleep(10 * time.Millisecond)
		silent, other := "s1:1", "s2:1"
		if ledgers[other].count(1) > 0 {
			silent, other = other, silent
		}
		f.Stall(silent)
		f.Stall("s3:1")
		for f.Dials("s3:1") == 0 { // to ping beside the silent connection
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		next.Store("s4:1")
		armed.Store(true)
		<-cut
		synctest.Wait()
		require.Zero(t, endpoint().ServerRunning)
		f.Cut(other)
		for conns.Load() == 2 {
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		require.Equal(t, codec.MetaUnderstood, endpoint().MetaSupport, "of the new connection")
		f.Cut(silent)
	})
}
