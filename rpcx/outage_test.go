package rpcx_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// untilBack calls until the client lets calls go to addr, and returns how long that took.
func untilBack(t *testing.T, c *rpcx.Client, addr string) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		for _, e := range c.Stats().Endpoints {
			if e.Address == addr && e.State == breaker.Closed && e.Connected && !e.Suspect {
				return time.Since(began)
			}
		}
		where(t, c, 1)
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(t, "the replica is not back")
	return 0
}

// A replica that is back takes calls after a quarter of the time that it was away, and 1 s where its
// host answers or refuses.
func TestReturnWithinAQuarterOfTheOutage(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name  string
		do    func(f *fleet, addr string)
		most  time.Duration
		lossy bool // its connections are silent for ever, and for some time not known to be
	}{
		{"killed", (*fleet).kill, time.Second, false},
		{"frozen", func(f *fleet, addr string) { f.Stall(addr) }, time.Second, false},
		{"unreachable", func(f *fleet, addr string) { f.Blackhole(addr) }, 5 * time.Second, true},
	}
	for _, fault := range faults {
		for _, away := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Second, 24 * time.Second} {
			if fault.lossy && away < 4*time.Second {
				continue
			}
			t.Run(fault.name+" for "+away.String(), func(t *testing.T) {
				inFleet(t, 3, func(t *testing.T, f *fleet) {
					f.dialer.Methods = idempotent("*")
					c := f.dial()
					defer c.Close()
					pass := func(d time.Duration) { // a client that makes no calls may know later
						for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
							where(t, c, 1)
						}
					}
					for range 2 {
						pass(11 * time.Second) // it is well
						fault.do(f, "b:1")
						pass(away)
						f.Resume("b:1")
						const trial = 30 * time.Millisecond // with the time between two looks
						require.LessOrEqual(t, untilBack(t, c, "b:1"), min(max(away/4, 250*time.Millisecond), fault.most)+trial)
					}
				})
			})
		}
	}
}

// The pauses go on growing for a replica that returns for a short time, again and again.
func TestReturnOfAFlappingReplica(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		where(t, c, 30)
		down := time.Now()
		f.kill("b:1")
		for time.Since(down) < time.Minute {
			f.Resume("b:1")
			untilBack(t, c, "b:1")
			time.Sleep(time.Second)
			f.kill("b:1")
			time.Sleep(300 * time.Millisecond) // until the client has tried to connect again
		}
		dials := f.Dials("b:1")
		for range 60 {
			where(t, c, 1)
			time.Sleep(time.Second)
		}
		require.InDelta(t, 60, f.Dials("b:1")-dials, 3, "one trial in a second")

		f.Resume("b:1")
		untilBack(t, c, "b:1")
		time.Sleep(11 * time.Second) // it is well again
		f.kill("b:1")
		time.Sleep(2 * time.Second)
		f.Resume("b:1")
		require.Less(t, untilBack(t, c, "b:1"), 550*time.Millisecond)
	})
}

// A replica that answers, and fails, keeps the pauses of the breaker, which grow to 5 s.
func TestReturnOfAFailingReplica(t *testing.T) {
	t.Parallel()
	withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
		f.dialer.Classify = byText
		f.dialer.Methods = idempotent("Bank.Where")
		f.dialer.Balancer = balancer.RoundRobin() // which gives it calls whenever its breaker does
		c := f.dial()
		defer c.Close()
		trips := func() uint64 { return state(t, c, "x:1").Trips }
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				where(t, c, 1)
			}
		}
		pass(time.Minute)
		before := trips()
		require.Positive(t, before)
		pass(5 * time.Minute)
		require.Less(t, trips()-before, uint64(47), "57 if each pause is a second")
	})
}

// Clients find a replica again at their own times: they do not all connect at once.
func TestReturnOfAReplicaToManyClients(t *testing.T) {
	t.Parallel()
	const clients = 100
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var mu sync.Mutex
		var joined []time.Time
		dial := f.dialer.NetDial
		f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err == nil && address == "b:1" {
				mu.Lock()
				joined = append(joined, time.Now())
				mu.Unlock()
			}
			return conn, err
		}
		f.Network.Backlog = clients
		var all []*rpcx.Client
		for range clients {
			c := f.dial()
			defer c.Close()
			all = append(all, c)
		}
		time.Sleep(time.Second)
		f.kill("b:1")
		time.Sleep(8 * time.Second)
		mu.Lock()
		joined = nil
		mu.Unlock()
		f.Resume("b:1")
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		most, first := 0, 0 // in 100 ms
		for i, at := range joined {
			for joined[first].Before(at.Add(-100 * time.Millisecond)) {
				first++
			}
			most = max(most, i-first+1)
		}
		for _, c := range all {
			for _, e := range c.Stats().Endpoints {
				require.Equal(t, breaker.Closed, e.State)
			}
		}
		require.Less(t, most, clients/3, "10 in 100 is the least where no client waits for more than a second")
	})
}
