package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A guest comes, wants to be served for a while, and leaves when his time is up.
type guest struct {
	comes, needs, patience time.Duration
}

// An outcome is how and when a guest has left.
type outcome struct {
	at  time.Duration
	how string
}

// dumbCounter is the model: so many servers, one line, first come first served. It
// looks at everybody at each moment when anything can happen.
func dumbCounter(guests []guest, servers, line int, patience time.Duration) []outcome {
	const never = time.Duration(1<<63 - 1)
	out := make([]outcome, len(guests))
	ends := make(map[int]time.Duration) // of the calls that are served
	var waiting []int
	for next := 0; ; {
		now, who := never, -1
		if next < len(guests) {
			now = guests[next].comes
		}
		for i, at := range ends {
			if at < now {
				now, who = at, i
			}
		}
		for _, i := range waiting {
			if at := guests[i].comes + min(patience, guests[i].patience); at < now {
				now, who = at, i
			}
		}
		switch g := max(who, 0); {
		case now == never:
			return out
		case who < 0:
			waiting = append(waiting, next)
			if next++; len(ends) == servers && len(waiting) > line {
				waiting = waiting[:line]
				out[next-1] = outcome{now, "overloaded"}
			}
		case slices.Contains(waiting, who):
			out[who] = outcome{now, "overloaded"}
			if guests[g].patience < patience {
				out[who].how = "deadline"
			}
			waiting = slices.DeleteFunc(waiting, func(i int) bool { return i == who })
		default:
			out[who] = outcome{now, "served"}
			if now == guests[g].comes+guests[g].patience {
				out[who].how = "deadline"
			}
			delete(ends, who)
		}
		for len(ends) < servers && len(waiting) > 0 {
			g := guests[waiting[0]]
			ends[waiting[0]] = min(now+g.needs, g.comes+g.patience)
			waiting = waiting[1:]
		}
	}
}

// roundTrip is what the network adds to a call: see inFleet.
const roundTrip = 2 * time.Millisecond

// serveAll has the guests served as calls, and returns how they left.
func serveAll(t *testing.T, c *rpcx.Client, guests []guest) []outcome {
	out := make([]outcome, len(guests))
	start := time.Now()
	var wg sync.WaitGroup
	for i, g := range guests {
		wg.Go(func() {
			time.Sleep(g.comes)
			ctx, cancel := context.WithTimeout(t.Context(), g.patience)
			defer cancel()
			err := c.CallContext(ctx, "Bank.Sleep", g.needs-roundTrip, new(string))
			out[i] = outcome{time.Since(start), "served"}
			switch {
			case errors.Is(err, rpcx.ErrOverloaded):
				out[i].how = "overloaded"
			case errors.Is(err, context.DeadlineExceeded):
				out[i].how = "deadline"
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

func TestLimitsAgainstADumbModel(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]rpcx.Dialer{
		"client":           {MaxCalls: 6, QueueTimeout: 3 * time.Second},
		"endpoints":        {MaxInFlight: 2, QueueTimeout: 3 * time.Second},
		"endpoints by key": {MaxInFlight: 2, QueueTimeout: 3 * time.Second, Balancer: balancer.Hash()},
		"impatient":        {MaxCalls: 6, QueueTimeout: -1},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				inFleet(t, 3, func(t *testing.T, f *fleet) {
					limit.NetDial = f.dialer.NetDial
					f.dialer = limit
					f.dialer.Breaker.Disabled = true // deadlines would open it
					c := f.dial()
					defer c.Close()
					time.Sleep(time.Second)
					rng := rand.New(rand.NewPCG(seed, 7))
					guests := make([]guest, 150)
					for i := range guests {
						guests[i] = guest{
							comes:    time.Duration(rng.Int64N(int64(20 * time.Second))),
							needs:    roundTrip + time.Duration(rng.ExpFloat64()*float64(time.Second)),
							patience: time.Duration(rng.Int64N(int64(10 * time.Second))),
						}
					}
					slices.SortFunc(guests, func(a, b guest) int { return int(a.comes - b.comes) })
					line, patience := 6, max(limit.QueueTimeout, 0)
					if limit.QueueTimeout < 0 {
						line = 0
					}
					want := dumbCounter(guests, 6, line, patience)
					got := serveAll(t, c, guests)
					require.Equal(t, want, got)
					require.True(t, slices.ContainsFunc(got, func(o outcome) bool { return o.how == "overloaded" }))
					for _, e := range c.Stats().Endpoints {
						require.Zero(t, e.InFlight)
					}
				})
			})
		}
	}
}

// Our own rejection is not the host's fault (envoy#25487).
func TestOverloadBlamesNobody(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]rpcx.Dialer{
		"client":    {MaxCalls: 2, QueueTimeout: time.Second},
		"endpoints": {MaxInFlight: 1, QueueTimeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				limit.NetDial = f.dialer.NetDial
				f.dialer = limit
				f.dialer.Throttle = &breaker.ThrottleConfig{}
				f.dialer.Methods = idempotent("*")
				c := f.dial()
				defer c.Close()
				time.Sleep(time.Second)
				where(t, c, 10) // or the throttle has nothing to go by
				slow := []*rpcx.Call{
					c.Go("Bank.Sleep", time.Minute, new(string), nil),
					c.Go("Bank.Sleep", time.Minute, new(string), nil),
				}
				start := time.Now()
				for n := 1; n <= 40; n++ {
					err := c.Call("Bank.Where", struct{}{}, new(string))
					require.Equal(t, time.Duration(n)*time.Second, time.Since(start), "%v", err)
					require.ErrorIs(t, err, rpcx.ErrOverloaded)
					ce := callError(t, err)
					require.Equal(t, rpcx.NotSent, ce.Sent)
					require.Zero(t, ce.Attempts)
					require.Contains(t, err.Error(), "Dialer.Max")
				}
				require.Zero(t, c.Stats().Retries)
				for _, call := range slow {
					require.NoError(t, (<-call.Done).Error)
				}
				for range 40 { // no breaker, no throttle stands in the way
					require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
				}
			})
		})
	}
}

// A caller whose call has ended, and that calls again at once, queues behind the calls that
// wait, although there is room at this moment.
func TestNewCallQueuesBehindThoseThatWait(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]rpcx.Dialer{"client": {MaxCalls: 1}, "endpoints": {MaxInFlight: 1}} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				limit.NetDial, limit.QueueTimeout = f.dialer.NetDial, time.Hour
				f.dialer = limit
				c := f.dial()
				defer c.Close()
				const callers, each = 2, 50
				var mu sync.Mutex
				var order []int // of the callers as they are served
				var wg sync.WaitGroup
				for i := range callers {
					wg.Go(func() {
						for range each {
							if err := c.Call("Bank.Sleep", time.Second, new(string)); err != nil {
								t.Error(err)
							}
							mu.Lock()
							order = append(order, i)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				for i := 1; i < len(order); i++ {
					require.NotEqual(t, order[i-1], order[i], "after %d calls", i)
				}
			})
		})
	}
}

func TestWaitingCallTakesAnEndpointThatComesBack(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.MaxInFlight, f.dialer.QueueTimeout = 1, time.Hour
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		f.kill("b:1")
		time.Sleep(time.Second)
		c.Go("Bank.Sleep", 2*time.Hour, new(string), nil)
		time.Sleep(time.Second) // it may have tried b:1
		var name string
		waiting := c.Go("Bank.Where", struct{}{}, &name, nil)
		time.Sleep(time.Minute)
		require.Empty(t, waiting.Done)
		f.Resume("b:1")
		back := time.Now()
		require.NoError(t, (<-waiting.Done).Error)
		require.Less(t, time.Since(back), time.Minute)
		require.Equal(t, "b:1", name)
	})
}

func TestCloseWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]rpcx.Dialer{"client": {MaxCalls: 4}, "endpoints": {MaxInFlight: 4}} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				limit.NetDial, limit.QueueTimeout = f.dialer.NetDial, time.Hour
				f.dialer = limit
				c := f.dial()
				var calls []*rpcx.Call
				for range 8 {
					calls = append(calls, c.Go("Bank.Sleep", time.Hour, new(string), nil))
				}
				time.Sleep(time.Second)
				closed := time.Now()
				require.NoError(t, c.Close())
				for _, call := range calls {
					require.Equal(t, rpcx.ErrShutdown, (<-call.Done).Error)
				}
				require.Zero(t, time.Since(closed))
			})
		})
	}
}
