package rpcx_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

// many returns n addresses.
func many(prefix string, n int) []string {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("%s%d:1", prefix, i)
	}
	return addrs
}

// open counts the endpoints with connections.
func (f *fleet) open() (n int) {
	for _, a := range f.addrs {
		n += min(f.Open(a), 1)
	}
	return n
}

// Only what a client uses of a large fleet is connected, pinged and watched.
func TestOnlyTheSubsetIsConnected(t *testing.T) {
	t.Parallel()
	for subset, want := range map[int]int{0: 20, 5: 5, -1: 100} {
		t.Run(fmt.Sprint(subset), func(t *testing.T) {
			inFleet(t, 100, func(t *testing.T, f *fleet) {
				f.dialer.Subset = subset
				c := f.dial()
				defer c.Close()
				time.Sleep(5 * time.Second)
				require.Equal(t, want, f.open())
				require.Equal(t, want, c.Live())
				require.Len(t, c.Stats().Endpoints, want)
				require.Equal(t, 100, c.Stats().Listed)
				require.LessOrEqual(t, len(where(t, c, 50)), want)
			})
		})
	}
}

// What is down is made up for, and not given up; when it is back, what took its
// place drains.
func TestSubsetIsBackfilled(t *testing.T) {
	t.Parallel()
	inFleet(t, 100, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(5 * time.Second)
		home := addresses(c)
		require.Len(t, home, 20)
		for _, a := range home[:3] {
			f.kill(a)
		}
		time.Sleep(2 * time.Second)
		require.Len(t, addresses(c), 23)
		require.Equal(t, 20, f.open(), "connected before they are called")
		share := where(t, c, 150)
		for _, a := range home[:3] {
			require.Zero(t, share[a])
		}

		for _, a := range home[:3] {
			f.Resume(a)
		}
		time.Sleep(30 * time.Second)
		require.Equal(t, home, addresses(c))
		require.Equal(t, 20, f.open())
		require.Equal(t, 20, c.Live())
	})
}

// Of what is not in use nothing is known: that it was down when it was given up must
// not be held against it.
func TestWhatLeavesTheSubsetIsForgotten(t *testing.T) {
	t.Parallel()
	inFleet(t, 100, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(5 * time.Second)
		f.kill(addresses(c)[0])
		time.Sleep(3 * time.Second)
		inUse := addresses(c)
		require.Len(t, inUse, 21)
		f.kill(inUse[20])
		time.Sleep(3 * time.Second)
		require.Len(t, addresses(c), 22)
		f.Resume(inUse[0])
		time.Sleep(30 * time.Second)
		require.Equal(t, 20, c.Live())
		require.Equal(t, map[balancer.State]int{balancer.Suspect: 80}, c.Outside(), "not connected, and no more is known")
		f.kill(inUse[0])
		time.Sleep(30 * time.Second)
		require.Len(t, addresses(c), 22, "that it is dead has been found out again")
	})
}

// More traffic takes more endpoints, and gives them back; a call in flight is not cut
// when its endpoint leaves the subset.
func TestSubsetFollowsTheTraffic(t *testing.T) {
	t.Parallel()
	inFleet(t, 70, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		var calls []*rpcx.Call
		for range 280 {
			calls = append(calls, c.Go("Bank.Sleep", 10*time.Second, new(string), nil))
			time.Sleep(5 * time.Millisecond)
		}
		require.Equal(t, 70, c.Live())
		slow := c.Go("Bank.Sleep", 3*time.Minute, new(string), nil)
		for _, call := range calls {
			<-call.Done
			require.NoError(t, call.Error)
		}
		time.Sleep(time.Minute)
		require.LessOrEqual(t, c.Live(), 21)
		require.LessOrEqual(t, f.open(), 21)
		<-slow.Done
		require.NoError(t, slow.Error)
		time.Sleep(time.Second)
		require.Len(t, c.Stats().Endpoints, 20)
		require.Equal(t, 20, f.open())
		where(t, c, 50)
	})
}

// Dial does not give up with the first few of many.
func TestDialGoesOnInTheFleet(t *testing.T) {
	t.Parallel()
	inFleet(t, 10, func(t *testing.T, f *fleet) {
		var dead atomic.Int64
		var dials atomic.Int64
		f.dialer.Subset = 2
		f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) <= dead.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return f.DialContext(ctx, network, address)
		}
		dead.Store(4)
		c := f.dial()
		where(t, c, 10)
		require.NoError(t, c.Close())
		synctest.Wait()

		dials.Store(0)
		dead.Store(100)
		_, err := f.dialer.Dial("tcp", f.addrs...)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.EqualValues(t, 6, dials.Load())
	})
}

// The world is cut off: the client must not go through the whole fleet for it.
func TestPausedNetworkLeavesTheSubset(t *testing.T) {
	t.Parallel()
	inFleet(t, 100, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		for _, a := range f.addrs {
			f.Stall(a)
		}
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, c.Live(), 40, "at most half of those in use is convicted, and made up for")
		for _, a := range f.addrs {
			f.Resume(a)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 20, c.Live())
		where(t, c, 100)
	})
}

// randomSets is how many runs TestEndpointsComeAndGoAtRandom makes.
func randomSets() int {
	if *long {
		return 20
	}
	return 1
}

// Random sets, faults and traffic, and at the end of each episode what must be so
// when all is quiet: exactly what is in use is alive and connected.
func TestEndpointsComeAndGoAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(randomSets()) {
		inFleet(t, 100, func(t *testing.T, f *fleet) {
			rng := rand.New(rand.NewPCG(seed, 0))
			f.dialer.Methods = idempotent("*")
			f.dialer.Retry.Budget = -1
			c, sets := f.resolve(f.addrs...)
			defer c.Close()
			for range 2 {
				rng.Shuffle(len(f.addrs), func(i, j int) { f.addrs[i], f.addrs[j] = f.addrs[j], f.addrs[i] })
				set := f.addrs[:2+rng.IntN(99)]
				sets <- said{set: setOf(set...)}
				dead := set[:rng.IntN(len(set)/2+1)]
				for range rng.IntN(200) {
					c.Go("Bank.Sleep", time.Duration(rng.IntN(2000))*time.Millisecond, new(string), nil)
				}
				for _, a := range dead {
					f.Refuse(a)
					f.Cut(a)
				}
				for range rng.IntN(100) {
					require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
				}
				for _, a := range dead {
					f.Resume(a)
				}
				time.Sleep(time.Minute)
				inUse := addresses(c)
				require.Subset(t, set, inUse)
				if len(set) < 64 {
					require.Len(t, inUse, len(set))
				} else {
					require.GreaterOrEqual(t, len(inUse), 20)
					require.LessOrEqual(t, len(inUse), 40, "what grew shrinks to less than half only")
				}
				require.Equal(t, len(inUse), c.Live())
				require.Equal(t, len(inUse), f.open())
			}
		})
	}
}

// Without a network, a client does not take a prober for each endpoint of the fleet.
func TestLostNetworkLeavesTheFleetAlone(t *testing.T) {
	t.Parallel()
	inFleet(t, 180, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		for _, a := range f.addrs {
			f.Refuse(a)
			f.Cut(a)
		}
		synctest.Wait() // until the client has seen it
		for range 4 {
			err := c.Call("Bank.Where", struct{}{}, new(string))
			require.ErrorIs(t, err, rpcx.ErrUnavailable)
			time.Sleep(3 * time.Second)
		}
		require.LessOrEqual(t, c.Live(), 4*20+64)
		for _, a := range f.addrs {
			f.Resume(a)
		}
		time.Sleep(80 * time.Second)
		require.Equal(t, 20, c.Live())
		where(t, c, 100)
	})
}

// unreal is a dialer whose connections answer at once and go nowhere.
func unreal() rpcx.Dialer { return rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial} }

// Of 10,000 endpoints, 1,000 are replaced at once, again and again, under load.
func TestTenThousandEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sets, d := make(feed), unreal()
		var resolved sync.WaitGroup
		d.Resolver = sets
		d.Trace = &rpcx.ClientTrace{Resolved: func(i rpcx.ResolvedInfo) {
			require.NoError(t, i.Err)
			resolved.Done()
		}}
		addrs := many("a", 10_000)
		resolved.Add(1)
		go func() { sets <- said{set: setOf(addrs...)} }()
		c, err := d.Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		stop := make(chan struct{})
		for range 4 {
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					var reply int
					if err := c.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
						t.Errorf("%d %v", reply, err)
					}
				}
			}()
		}
		for i := range 4 {
			copy(addrs[i*1000:], many(fmt.Sprintf("b%d-", i), 1000))
			resolved.Add(1)
			sets <- said{set: setOf(addrs...)}
			resolved.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		close(stop)
		time.Sleep(2 * time.Minute) // those that are not used any more have been let go
		require.Equal(t, 10_000, c.Stats().Listed)
		require.LessOrEqual(t, c.Live(), 40)
	})
}
