package rpcx_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// hurried makes a call that has a tenth of a second.
func hurried(t *testing.T, c *rpcx.Client) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var name string
	err := c.CallContext(ctx, "Bank.Where", struct{}{}, &name)
	return name, err
}

// While an endpoint is being connected, at Dial or again, calls go to those that are.
func TestCallsPreferWhatIsConnected(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]balancer.Policy{"P2C": nil, "round robin": balancer.RoundRobin(), "hash": balancer.Hash()} {
		for _, heartbeat := range []time.Duration{0, -1} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 3, func(t *testing.T, f *fleet) {
					f.dialer.Balancer, f.dialer.Heartbeat = policy, heartbeat
					f.Blackhole("c:1")
					c := f.dial()
					defer c.Close()
					for range 50 {
						_, err := hurried(t, c)
						require.NoError(t, err, "beside a black hole at Dial")
						time.Sleep(40 * time.Millisecond)
					}
					f.vanish("b:1")
					synctest.Wait()
					for range 250 {
						name, err := hurried(t, c)
						require.NoError(t, err, "beside a lost connection")
						require.Equal(t, "a:1", name)
						time.Sleep(40 * time.Millisecond)
					}
				})
			})
		}
	}
}

// A call may have to connect where there is no connection at all.
func TestCallsConnectWhereNothingIsConnected(t *testing.T) {
	t.Parallel()
	for _, heartbeat := range []time.Duration{0, -1} {
		inFleet(t, 3, func(t *testing.T, f *fleet) {
			f.dialer.Heartbeat = heartbeat
			c := f.dial()
			defer c.Close()
			where(t, c, 30)
			for _, a := range f.addrs {
				f.Cut(a)
			}
			synctest.Wait()
			_, err := hurried(t, c)
			require.NoError(t, err)
		})
	}
}

// What the subset grows by takes no call before it is connected.
func TestSubsetGrowsByWhatIsConnected(t *testing.T) {
	t.Parallel()
	inFleet(t, 40, func(t *testing.T, f *fleet) {
		f.dialer.Subset = 2
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		inUse := addresses(c)
		for _, a := range f.addrs {
			if !slices.Contains(inUse, a) {
				f.Blackhole(a)
			}
		}
		done := make(chan error, 1000)
		for range 1000 {
			go func() {
				_, err := hurried(t, c)
				done <- err
			}()
			time.Sleep(5 * time.Millisecond)
		}
		for range 1000 {
			require.NoError(t, <-done)
		}
		require.Greater(t, len(c.Stats().Endpoints), 2, "it has grown")
	})
}

// Without pings, no ping lets an endpoint back in: calls do, and what connects it is
// that they pass it over.
func TestEndpointReturnsWithoutPings(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*fleet, string){
		"killed":   (*fleet).kill,
		"vanished": (*fleet).vanish,
		"cut":      func(f *fleet, addr string) { f.Cut(addr) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, func(t *testing.T, f *fleet) {
				f.dialer.Heartbeat = -1
				c := f.dial()
				defer c.Close()
				where(t, c, 30)
				time.Sleep(time.Minute)
				fault(f, "a:1")
				synctest.Wait() // the client has seen it: a call just then may have been sent
				for range 50 {
					where(t, c, 1)
					time.Sleep(100 * time.Millisecond)
				}
				f.Resume("a:1")
				for range 200 {
					where(t, c, 1)
					time.Sleep(50 * time.Millisecond)
				}
				require.NotZero(t, where(t, c, 100)["a:1"])
				require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)

				time.Sleep(time.Minute)
				f.Cut("a:1")
				time.Sleep(time.Minute)
				dials := f.Dials("a:1")
				time.Sleep(10 * time.Minute)
				require.Equal(t, dials, f.Dials("a:1"), "nothing is kept up for a client that makes no calls")
			})
		})
	}
}
