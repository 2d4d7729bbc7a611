package rpcx_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
