package rpcx_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

func constantly(wait time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(wait) }
}

// Calls that add nothing to a budget do not make room in it: requests behind another service,
// here, and calls that may not be hedged.
func TestBudgetGrowsByTheCallsThatAddToIt(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		for range 1000 {
			require.NoError(t, c.CallContext(rpcx.AsRetry(t.Context()), "Bank.Where", struct{}{}, new(string)))
		}
		where(t, c, 50)
		require.InDelta(t, 10, c.Stats().Budget, 1e-6)
		where(t, c, 100)
		require.InDelta(t, 15, c.Stats().Budget, 1e-6)
	})
}

// A refusal of our own sends nothing: calls that wait out an outage pay for nothing, and
// all of them come through.
func TestWaitingOutAnOutageIsFree(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Retry.BackOff = constantly(100 * time.Millisecond)
		f.dialer.CallTimeout = 10 * time.Second
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		f.kill("a:1")
		f.kill("b:1")
		var failed atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				call := asyncCaller(c)
				if i%2 == 0 {
					call = byGo{c}
				}
				if err := call.Call("Bank.Where", struct{}{}, new(string)); err != nil {
					failed.Add(1)
				}
			})
		}
		time.Sleep(2 * time.Second)
		f.Resume("a:1")
		f.Resume("b:1")
		wg.Wait()
		require.Zero(t, failed.Load())
		require.InDelta(t, 10, c.Stats().Budget, 1e-6)
		require.Zero(t, c.Stats().Retries)
	})
}

// An outage leaves the budget to the calls that come after it.
func TestOutageLeavesTheBudgetToRetries(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Methods = idempotent("*")
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		for range 20 {
			require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
		}
		f.Resume("a:1")
		for range 10 {
			call := c.Go("Bank.Sleep", time.Second, new(string), nil)
			time.Sleep(500 * time.Millisecond)
			f.Cut("a:1")
			require.NoError(t, (<-call.Done).Error)
		}
		require.EqualValues(t, 10, c.Stats().Retries)
	})
}

// A server that dies under many calls leaves all of them to others: the budget has grown with
// the calls.
func TestDeathUnderManyCallsFailsNone(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*fleet, string){
		"killed": (*fleet).kill,
		"frozen": func(f *fleet, addr string) { f.Stall(addr) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, func(t *testing.T, f *fleet) {
				f.dialer.Methods = idempotent("*")
				c := f.dial()
				defer c.Close()
				var calls sync.WaitGroup
				load := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
						calls.Go(func() {
							if err := c.Call("Bank.Sleep", 150*time.Millisecond, new(string)); err != nil {
								t.Error(err)
							}
						})
					}
				}
				load(2 * time.Second)
				fault(f, "a:1")
				load(3 * time.Second)
				f.Resume("a:1")
				calls.Wait()
				s := c.Stats()
				require.Greater(t, s.Retries+s.Hedges, uint64(20), "of 25 in flight")
				require.LessOrEqual(t, float64(s.Retries+s.Hedges), 10+float64(s.Calls)/10)
			})
		})
	}
}

// A policy that ends the call costs nothing, and the budget is not blamed.
func TestStopIsFree(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		var exhausted atomic.Int32
		f.dialer.Methods = idempotent("*")
		f.dialer.Retry = rpcx.Retry{Budget: 1e-9, BackOff: func() backoff.BackOff { return &backoff.StopBackOff{} }}
		f.dialer.Trace = &rpcx.ClientTrace{BudgetExhausted: func(context.Context, rpcx.RetryInfo) { exhausted.Add(1) }}
		c := f.dial()
		defer c.Close()
		for range 15 {
			call := c.Go("Bank.Sleep", time.Minute, new(string), nil)
			time.Sleep(3 * time.Second)
			f.Cut("a:1")
			require.Error(t, (<-call.Done).Error)
		}
		require.InDelta(t, 10, c.Stats().Budget, 1e-6)
		require.Zero(t, exhausted.Load())
	})
}

// The accountant adds for each call and takes for each attempt that may have run after
// another one of its call. A call that may be repeated, by a policy without end, ends
// badly only if he has nothing left.
func TestBudgetAgainstADumbAccountant(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				const share = 0.25
				rng := rand.New(rand.NewPCG(seed, 15))
				var sent, exhausted atomic.Int32
				f.dialer.Heartbeat = -1
				f.dialer.Breaker.Disabled = seed%2 == 0
				f.dialer.Methods = idempotent("Bank.Sleep")
				f.dialer.Retry = rpcx.Retry{Budget: share, BackOff: constantly(30 * time.Millisecond)}
				f.dialer.Trace = &rpcx.ClientTrace{
					AttemptDone: func(_ context.Context, i rpcx.AttemptInfo) {
						if i.Err == nil || i.Sent != rpcx.NotSent {
							sent.Add(1)
						}
					},
					BudgetExhausted: func(context.Context, rpcx.RetryInfo) { exhausted.Add(1) },
				}
				c := f.dial()
				defer c.Close()
				synctest.Wait()
				balance, refused := 10.0, 0
				for range 80 {
					faults := rng.IntN(6)
					gaps := make([]time.Duration, faults)
					for i := range gaps {
						gaps[i] = time.Duration(rng.IntN(60)) * time.Millisecond
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						for i, gap := range gaps {
							time.Sleep(gap)
							for _, a := range f.addrs {
								if f.Resume(a); (i+int(seed))%3 == 0 {
									f.Refuse(a)
								}
								f.Cut(a)
							}
						}
						for _, a := range f.addrs {
							f.Resume(a)
						}
					}()
					method := "Bank.Sleep"
					if rng.IntN(4) == 0 {
						method = "Bank.Nap" // not idempotent, nor known
					}
					sent.Store(0)
					exhausted.Store(0)
					balance = min(balance+share, 10)
					call := asyncCaller(c)
					if rng.IntN(2) == 0 {
						call = byGo{c}
					}
					err := call.Call(method, 40*time.Millisecond, new(string))
					synctest.Wait()
					balance -= float64(max(sent.Load()-1, 0))
					require.InDelta(t, balance, c.Stats().Budget, 1e-6)
					require.GreaterOrEqual(t, balance, -1e-6)
					if method == "Bank.Sleep" {
						require.Equal(t, err != nil, exhausted.Load() == 1, "%v", err)
						require.Equal(t, err != nil, exhausted.Load() == 1 && balance < 1, "%v", err)
						if err != nil {
							refused++
						}
					}
					<-done
					time.Sleep(6 * time.Second) // an open breaker, or two
				}
				t.Log(refused, "refused for want of budget,", c.Stats().Retries, "repeated")
			})
		})
	}
}

// What a server turns away has come to it: to repeat that is load, and paid for, also if
// it was not run.
func TestRefusalsOfAServerArePaidFor(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	d := rpcx.Dialer{
		Codec:     codec.NewJSON2Client,
		Heartbeat: -1,
		Retry:     rpcx.Retry{BackOff: constantly(0)},
		NetDial: func(context.Context, string, string) (net.Conn, error) {
			return jsonhttp.NewConn(jsonhttp.Config{URL: server.URL})
		},
	}
	c, err := d.Dial("tcp", "a:1")
	require.NoError(t, err)
	defer c.Close()
	err = c.CallContext(t.Context(), "Any.Method", struct{}{}, new(int))
	require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
	require.EqualValues(t, 11, requests.Load(), "one, and as many as the budget had")
	require.EqualValues(t, 10, c.Stats().Retries)
}
