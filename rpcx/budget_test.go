package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

func constantly(wait time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(wait) }
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
				for range 150 {
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

// A policy without a wait, or with next to none, does not keep a processor busy while
// there is no endpoint to send to.
func TestZeroBackOffDoesNotSpin(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"zero": 0, "negative": -time.Minute, "a microsecond": time.Microsecond} {
		for _, disabled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/breaker=%v", name, !disabled), func(t *testing.T) {
				inFleet(t, 2, func(t *testing.T, f *fleet) {
					var events atomic.Int32
					f.dialer.Breaker.Disabled = disabled
					f.dialer.CallTimeout = 2 * time.Second
					f.dialer.Retry = rpcx.Retry{Budget: -1, BackOff: constantly(wait)}
					f.dialer.Trace = &rpcx.ClientTrace{Pick: func(context.Context, rpcx.PickInfo) {
						if events.Add(1) > 5000 {
							time.Sleep(time.Second) // virtual time stands still for one that spins
						}
					}}
					c := f.dial()
					defer c.Close()
					synctest.Wait()
					f.kill("a:1")
					f.kill("b:1")
					require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
					require.Error(t, byGo{c}.Call("Bank.Where", struct{}{}, new(string)))
					require.Less(t, events.Load(), int32(1000))
				})
			})
		}
	}
}

// A fragile policy panics, or ends its goroutine, where it is told to.
type fragile struct {
	backoff.ConstantBackOff
	where string
}

func (p *fragile) breakAt(where string) {
	switch {
	case p.where == where+", Goexit":
		runtime.Goexit()
	case p.where == where:
		panic("fragile: " + where)
	}
}

func (p *fragile) NextBackOff() time.Duration { p.breakAt("NextBackOff"); return time.Millisecond }
func (p *fragile) Reset()                     { p.breakAt("Reset") }

// The functions of the user's run in goroutines of the client's where the call is Go's.
func TestPolicyThatPanics(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"BackOff", "Reset", "NextBackOff", "NextBackOff, Goexit"} {
		t.Run(place, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var armed atomic.Bool
				var begun, done atomic.Int32
				f.dialer.MaxCalls, f.dialer.QueueTimeout = 1, -1
				f.dialer.Methods = idempotent("*")
				f.dialer.Retry.BackOff = func() backoff.BackOff {
					p := &fragile{where: place}
					if !armed.Load() {
						return &fragile{}
					}
					p.breakAt("BackOff")
					return p
				}
				f.dialer.Trace = &rpcx.ClientTrace{
					CallStart: func(ctx context.Context, _ rpcx.CallInfo) context.Context { begun.Add(1); return ctx },
					CallDone:  func(context.Context, rpcx.CallInfo) { done.Add(1) },
				}
				c := f.dial()
				defer c.Close()
				synctest.Wait()
				f.kill("a:1")
				armed.Store(true)
				for range 2 {
					call := <-c.Go("Bank.Where", struct{}{}, new(string), nil).Done
					require.ErrorContains(t, call.Error, "panicked")
					require.Equal(t, rpcx.NotSent, callError(t, call.Error).Sent)
				}
				if place != "NextBackOff, Goexit" { // which is up to the caller
					for range 2 {
						require.PanicsWithValue(t, "fragile: "+place, func() {
							c.Call("Bank.Where", struct{}{}, new(string)) //nolint:errcheck // it panics
						})
					}
				}
				armed.Store(false)
				f.Resume("a:1")
				time.Sleep(10 * time.Second)
				where(t, c, 3) // the place under MaxCalls was given back
				synctest.Wait()
				require.Equal(t, begun.Load(), done.Load())
				require.NoError(t, c.CloseContext(t.Context()), "no call is under way")
			})
		})
	}
}

// cenkalti/backoff#188: the time that has elapsed is that of the call, not that since its
// first failure.
func TestElapsedTimeCountsFromTheStart(t *testing.T) {
	t.Parallel()
	exponential := func() backoff.BackOff {
		return backoff.NewExponentialBackOff(backoff.WithInitialInterval(250*time.Millisecond),
			backoff.WithMultiplier(1), backoff.WithRandomizationFactor(0), backoff.WithMaxElapsedTime(3*time.Second))
	}
	for name, policy := range map[string]func() backoff.BackOff{
		"plain":       exponential,
		"max retries": func() backoff.BackOff { return backoff.WithMaxRetries(exponential(), 1000) },
		"context":     func() backoff.BackOff { return backoff.WithContext(exponential(), context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var made atomic.Int32
				f.dialer.Methods = idempotent("*")
				f.dialer.Retry.BackOff = func() backoff.BackOff { made.Add(1); return policy() }
				c := f.dial()
				defer c.Close()
				for range 500 {
					where(t, c, 1)
				}
				require.Less(t, made.Load(), int32(400), "calls that succeed at once make no policies")
				for _, call := range []asyncCaller{c, byGo{c}} {
					time.Sleep(10 * time.Second)
					start := time.Now()
					time.AfterFunc(2*time.Second, func() { f.kill("a:1") })
					require.Error(t, call.Call("Bank.Sleep", time.Hour, new(string)))
					require.GreaterOrEqual(t, time.Since(start), 2500*time.Millisecond)
					require.LessOrEqual(t, time.Since(start), 3*time.Second+600*time.Millisecond)
					f.Resume("a:1")
				}
			})
		})
	}
}

// As in backoff's own Retry, the end of the policy's context ends the wait.
func TestPolicyContextEndsTheWait(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		f.dialer.Retry.BackOff = func() backoff.BackOff {
			return backoff.WithContext(backoff.NewConstantBackOff(time.Hour), ctx)
		}
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// What NetDial calls permanent is not dialed again for the call.
func TestPermanentErrorIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		wrong := errors.New("wrong password")
		var refuse atomic.Bool
		dial := f.dialer.NetDial
		f.dialer.NetDial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			if refuse.Load() {
				return nil, fmt.Errorf("dial %s: %w", address, backoff.Permanent(wrong))
			}
			return dial(ctx, network, address)
		}
		f.dialer.Breaker = breaker.Config{Disabled: true}
		f.dialer.Retry.BackOff = constantly(time.Second)
		c := f.dial()
		defer c.Close()
		refuse.Store(true)
		f.Cut("a:1")
		synctest.Wait()
		start := time.Now()
		err := c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, wrong)
		require.EqualError(t, err, "rpcx: Bank.Where at a:1: dial a:1: wrong password (1 attempt, did not run)")
		require.Equal(t, 1, callError(t, err).Attempts)
		require.Zero(t, time.Since(start))
	})
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
