package rpcx_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// state returns the present state of an endpoint in use.
func state(t *testing.T, c *rpcx.Client, address string) rpcx.EndpointStats {
	t.Helper()
	for _, e := range c.Stats().Endpoints {
		if e.Address == address {
			return e
		}
	}
	t.Fatal("not in use: ", address)
	return rpcx.EndpointStats{}
}

// A drained endpoint finishes its calls and gets no others, until it is reset.
func TestDrain(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Balancer = balancer.RoundRobin()
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		calls := make([]*rpcx.Call, 8)
		for i := range calls {
			calls[i] = c.Go("Bank.Sleep", 10*time.Second, new(string), nil)
		}
		synctest.Wait()
		held := state(t, c, "a:1").InFlight
		require.Positive(t, held)

		require.NoError(t, c.Drain("a:1", "an upgrade"))
		require.Equal(t, breaker.ForcedOpen, state(t, c, "a:1").State)
		require.Zero(t, where(t, c, 50)["a:1"])
		there := 0
		for _, call := range calls {
			require.NoError(t, (<-call.Done).Error, "calls in flight finish")
			if *call.Reply.(*string) == "a:1" {
				there++
			}
		}
		require.Equal(t, held, there)
		time.Sleep(5 * time.Minute)
		require.Zero(t, where(t, c, 50)["a:1"], "it stays drained")
		require.True(t, state(t, c, "a:1").Connected)
		require.NoError(t, c.Drain("a:1", ""), "it may be drained twice")

		require.NoError(t, c.Drain("b:1", ""))
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnavailable)
		for _, a := range f.addrs {
			require.NoError(t, c.Reset(a, ""))
			require.Equal(t, breaker.Closed, state(t, c, a).State)
		}
		time.Sleep(20 * time.Second)
		require.Len(t, where(t, c, 50), 2)
		now := figures(t, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}, "/?format=json")
		require.True(t, now.has("a:1 was drained by hand, an upgrade"), "%q", now.texts())
		require.True(t, now.has("b:1 was drained by hand"), "%q", now.texts())
	})
}

// A tripped endpoint gets no calls for the time given, and a ping that is answered
// then lets it back in.
func TestTrip(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		require.NoError(t, c.Trip("a:1", 5*time.Minute, "its disk is full"))
		s := state(t, c, "a:1")
		require.Equal(t, breaker.Open, s.State)
		require.EqualError(t, s.Cause, "tripped by hand, its disk is full")
		require.Equal(t, 5*time.Minute, s.RetryAfter)
		require.ErrorContains(t, c.Trip("a:1", time.Minute, ""), "takes no calls for 5m0s already")
		require.ErrorContains(t, c.Trip("a:1", 0, ""), "takes no calls for 5m0s already")
		require.Equal(t, s.RetryAfter, state(t, c, "a:1").RetryAfter, "Trip does not shorten")
		require.NoError(t, c.Trip("a:1", 10*time.Minute, ""))
		require.EqualError(t, state(t, c, "a:1").Cause, "tripped by hand")

		time.Sleep(9 * time.Minute)
		require.Zero(t, where(t, c, 50)["a:1"])
		time.Sleep(2 * time.Minute)
		require.Equal(t, breaker.Closed, state(t, c, "a:1").State)
		require.NotZero(t, where(t, c, 50)["a:1"])

		require.NoError(t, c.Trip("b:1", 0, ""))
		require.LessOrEqual(t, state(t, c, "b:1").RetryAfter, time.Second, "the breaker's first interval")
		require.NoError(t, c.Reset("b:1", ""))
		require.Equal(t, breaker.Closed, state(t, c, "b:1").State)
	})
}

// What cannot be done is said, and changes nothing.
func TestControlsRefuse(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		single := rpcx.NewClient(conn)
		defer single.Close()
		closed := f.dial()
		require.NoError(t, closed.Close())
		for name, control := range map[string]func(*rpcx.Client, string) error{
			"drain": func(c *rpcx.Client, a string) error { return c.Drain(a, "") },
			"trip":  func(c *rpcx.Client, a string) error { return c.Trip(a, time.Minute, "") },
			"reset": func(c *rpcx.Client, a string) error { return c.Reset(a, "") },
		} {
			for _, unknown := range []string{"x:1", "", "a", "A:1"} {
				err := control(c, unknown)
				require.ErrorIs(t, err, rpcx.ErrUnknownEndpoint, name)
				require.EqualError(t, err, fmt.Sprintf("rpcx: the client does not use an endpoint %q", unknown), name)
			}
			require.Equal(t, rpcx.ErrShutdown, control(closed, "a:1"), name)
			require.ErrorContains(t, control(single, conn.RemoteAddr().String()), "has no breaker", name)
		}
		require.ErrorContains(t, c.Trip("a:1", -1, ""), "Trip for -1ns; want a positive duration, or 0")
		for _, e := range c.Stats().Endpoints {
			require.Equal(t, breaker.Closed, e.State)
		}
		require.NoError(t, c.Drain("a:1", ""))
		require.ErrorContains(t, c.Trip("a:1", time.Hour, ""), "is drained")
		require.Equal(t, breaker.ForcedOpen, state(t, c, "a:1").State)
	})
}

// Controls may be used at once, beside calls, and by hooks; the last one holds.
func TestControlsAtOnce(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var c *rpcx.Client
		f.dialer.Trace = &rpcx.ClientTrace{BreakerChanged: func(i rpcx.BreakerInfo) {
			if i.To == breaker.Open {
				c.Drain(i.Endpoint, "what is tripped is drained") //nolint:errcheck // the client may be closed
			}
		}}
		c = f.dial()
		defer c.Close()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 200 {
					switch i % 4 {
					case 0:
						c.Trip("a:1", time.Minute, "") //nolint:errcheck // it may be drained
					case 1:
						c.Reset("a:1", "") //nolint:errcheck // it cannot fail
					case 2:
						c.Drain("a:1", "") //nolint:errcheck // likewise
					case 3:
						where(t, c, 1)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.Reset("a:1", ""))
		require.Equal(t, breaker.Closed, state(t, c, "a:1").State)
		require.NoError(t, c.Trip("a:1", time.Minute, ""))
		require.Equal(t, breaker.ForcedOpen, state(t, c, "a:1").State, "by the hook")
	})
}
