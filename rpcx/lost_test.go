package rpcx_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// polls makes so many long calls, every other one through Go.
func polls(t *testing.T, c *rpcx.Client, n int) <-chan error {
	t.Helper()
	ends := make(chan error, n)
	for i := range n {
		go func() {
			if i%2 == 0 {
				ends <- c.CallContext(context.Background(), "Bank.Sleep", time.Hour, new(string))
				return
			}
			ends <- (<-c.Go("Bank.Sleep", time.Hour, new(string), make(chan *rpcx.Call, 1)).Done).Error
		}()
	}
	synctest.Wait()
	return ends
}

// One lost connection is one event, however many calls were on it: each has its error,
// and the breaker and the throttle count one.
func TestLostConnectionIsOneEvent(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*rpcx.Dialer){
		"default":   func(*rpcx.Dialer) {},
		"throttled": func(d *rpcx.Dialer) { d.Throttle = &breaker.ThrottleConfig{} },
		"no pings":  func(d *rpcx.Dialer) { d.Heartbeat = -1 },
		"strict":    func(d *rpcx.Dialer) { d.Breaker.ConsecutiveFailures = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				set(&f.dialer)
				c := f.dial()
				defer c.Close()
				where(t, c, 300)
				ends := polls(t, c, 100)
				f.Cut("a:1")
				for range 100 {
					err := <-ends
					require.Error(t, err)
					if errors.As(err, new(*rpcx.CallError)) { // Go returns what net/rpc would
						require.Equal(t, rpcx.MaybeSent, callError(t, err).Sent)
					}
				}
				synctest.Wait()
				s := c.Stats().Endpoints[0]
				require.Equal(t, breaker.Closed, s.State)
				require.Equal(t, 1, s.Window.Failures)
				where(t, c, 100)
				require.Zero(t, c.Stats().Endpoints[0].Trips)
			})
		})
	}
}

// A firewall ends all connections at once: no breaker opens.
func TestFirewallResetsEverything(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Conns = 2
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		where(t, c, 30)
		ends := polls(t, c, 60)
		for _, a := range f.addrs {
			f.Cut(a)
		}
		for range 60 {
			require.Error(t, <-ends)
		}
		where(t, c, 100)
		for _, e := range c.Stats().Endpoints {
			require.Zero(t, e.Trips, "%v", e.Cause)
			require.LessOrEqual(t, e.Window.Failures, 2)
		}
	})
}

// Idempotent calls are repeated as ever, and each deadline is an event of its own.
func TestWhatIsNoLostConnectionCountsByItself(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		where(t, c, 30)
		time.Sleep(time.Minute)
		failed := make(chan error, 30)
		f.Stall("a:1")
		for range 30 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				failed <- c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
			}()
		}
		for range 30 {
			require.ErrorIs(t, <-failed, context.DeadlineExceeded)
		}
		require.Equal(t, breaker.Open, c.Stats().Endpoints[0].State)
	})
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("*")
		f.dialer.Retry.Budget = -1
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		calls := make([]*rpcx.Call, 20)
		for i := range calls {
			calls[i] = c.Go("Bank.Sleep", time.Minute, new(string), nil)
		}
		time.Sleep(time.Second)
		f.Cut("a:1")
		for _, call := range calls {
			require.NoError(t, (<-call.Done).Error)
		}
	})
}
