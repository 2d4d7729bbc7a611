package rpcx_test

import (
	"context"
	"fmt"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

func TestEveryReplicaIsUsed(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		require.Len(t, where(t, c, 100), 3)
	})
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Balancer = balancer.RoundRobin()
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second) // past slow start
		require.Equal(t, map[string]int{"a:1": 10, "b:1": 10, "c:1": 10}, where(t, c, 30))
	})
}

func TestKeyStaysWithItsReplica(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Balancer = balancer.Hash()
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		used := make(map[string]bool)
		for key := range 20 {
			seen := make(map[string]bool)
			for range 5 {
				ctx := rpcx.WithKey(t.Context(), fmt.Sprint("user", key))
				name, err := rpcx.Invoke[string](ctx, c, "Bank.Where", struct{}{})
				require.NoError(t, err)
				seen[name], used[name] = true, true
			}
			require.Len(t, seen, 1)
		}
		require.Len(t, used, 3)
	})
}

// net/rpc: a Call to a frozen peer hangs for ever.

func TestCallToFrozenServerEndsWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3} {
		for _, warm := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, time.Minute} {
			t.Run(fmt.Sprintf("%d replicas after %v", n, warm), func(t *testing.T) {
				inFleet(t, n, func(t *testing.T, f *fleet) {
					c := f.dial()
					defer c.Close()
					where(t, c, 1)
					time.Sleep(warm)
					for _, a := range f.addrs {
						f.Stall(a)
					}
					start := time.Now()
					err := c.Call("Bank.Deposit", Deposit{ID: 1}, new(int))
					require.LessOrEqual(t, time.Since(start), 5*time.Second)
					require.ErrorIs(t, err, rpcx.ErrUnresponsive)
					require.Equal(t, rpcx.MaybeSent, callError(t, err).Sent)
					require.Contains(t, err.Error(), "does not respond: silent for")
				})
			})
		}
	}
}

func TestCallToBlackholedServerEndsWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Minute)
		f.Blackhole("a:1")
		start := time.Now()
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
		require.ErrorIs(t, err, rpcx.ErrUnresponsive)
	})
}

func TestSlowCallToLiveServerIsNotCut(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		var name string
		start := time.Now()
		require.NoError(t, c.Call("Bank.Sleep", 30*time.Second, &name))
		require.Equal(t, "a:1", name)
		require.InDelta(t, 30, time.Since(start).Seconds(), 0.1)
	})
}

func TestIdempotentCallSurvivesAFrozenReplica(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		where(t, c, 50)
		f.Stall("a:1")
		ctx := rpcx.WithIdempotent(t.Context())
		for range 50 {
			start := time.Now()
			name, err := rpcx.Invoke[string](ctx, c, "Bank.Where", struct{}{})
			require.NoError(t, err)
			require.NotEqual(t, "a:1", name)
			require.LessOrEqual(t, time.Since(start), 5*time.Second)
		}
		f.Resume("a:1")
		time.Sleep(30 * time.Second)
		require.Len(t, where(t, c, 100), 3, "it is used again")
	})
}

func TestCallsMoveAwayFromAKilledReplica(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		where(t, c, 30)
		f.kill("b:1")
		seen := where(t, c, 100) // not idempotent: what is not sent moves on
		require.Zero(t, seen["b:1"])
		f.Resume("b:1")
		time.Sleep(30 * time.Second)
		require.NotZero(t, where(t, c, 100)["b:1"])
	})
}

// A call whose connection broke after it was sent may have run.

func TestContextIsObeyedAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*fleet)
		after  func(*fleet)
		sent   rpcx.Sent
	}{
		"while dialing":            {after: func(f *fleet) { f.kill("a:1"); f.Blackhole("a:1") }, sent: rpcx.NotSent},
		"while the server works":   {sent: rpcx.MaybeSent},
		"while the peer is frozen": {after: func(f *fleet) { f.Stall("a:1") }, sent: rpcx.MaybeSent},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				client := f.dial()
				defer client.Close()
				if c.after != nil {
					c.after(f)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				start := time.Now()
				err := client.CallContext(ctx, "Bank.Sleep", time.Minute, new(string))
				require.Equal(t, 300*time.Millisecond, time.Since(start))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, c.sent, callError(t, err).Sent)
				require.True(t, callError(t, err).Timeout())
			})
		})
	}
}

func TestContextThatIsOverRunsNothing(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := c.CallContext(ctx, "Bank.Deposit", Deposit{ID: 1}, new(int))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, &rpcx.CallError{Method: "Bank.Deposit", Err: context.Canceled}, callError(t, err))
		time.Sleep(time.Second)
		require.Zero(t, f.ledger.count(1))
	})
}

func TestCallTimeoutBoundsAllAttempts(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.CallTimeout = 700 * time.Millisecond
		f.dialer.Methods = idempotent("*")
		c := f.dial()
		defer c.Close()
		start := time.Now()
		err := c.Call("Bank.Sleep", time.Minute, new(string))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 700*time.Millisecond, time.Since(start))
	})
}

// After Call has returned, the reply belongs to its caller (golang/go#8236).

func TestLateReplyIsNotDecoded(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		name := "mine"
		require.Error(t, c.CallContext(ctx, "Bank.Sleep", 2*time.Second, &name))
		time.Sleep(5 * time.Second)
		require.Equal(t, "mine", name)
		require.Equal(t, 2, f.Dials("a:1"), "the connection lives, and one has asked how pings are taken")
		require.Equal(t, map[string]int{"a:1": 3}, where(t, c, 3))
	})
}

func TestServerErrorComesBare(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		err := c.Call("Bank.Refuse", "not today", new(struct{}))
		require.Equal(t, rpc.ServerError("not today"), err)
		err = c.Call("Bank.Missing", struct{}{}, new(struct{}))
		require.Equal(t, rpc.ServerError("rpc: can't find method Bank.Missing"), err)
		for _, e := range c.Stats().Endpoints {
			require.Equal(t, breaker.Closed, e.State, "an application's error is no fault of the endpoint")
		}
	})
}

func TestAllDownFailsFastAndSaysWhy(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		f.kill("a:1")
		f.kill("b:1")
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		err := c.Call("Bank.Deposit", Deposit{ID: 1}, new(int))
		require.Less(t, time.Since(start), time.Second)
		require.ErrorIs(t, err, rpcx.ErrUnavailable)
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
		require.Contains(t, err.Error(), "connection refused")
		var open *breaker.OpenError
		require.ErrorAs(t, err, &open)
		require.Positive(t, open.RetryAfter)
		require.Zero(t, f.ledger.count(1))

		f.Resume("a:1")
		f.Resume("b:1")
		time.Sleep(10 * time.Second)
		require.NotEmpty(t, where(t, c, 10))
	})
}

// A retry that would come after the deadline is not waited for, and the error

// that it was about is not lost.

// retriesOf200 returns how often 200 calls that fail are repeated under a budget.

func retriesOf200(t *testing.T, budget float64) (retries uint64) {
	t.Helper()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Retry.Budget = budget
		f.dialer.Breaker.Disabled = true
		f.dialer.Heartbeat = -1
		f.dialer.Methods = idempotent("*")
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		for range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			go func() {
				time.Sleep(5 * time.Millisecond)
				f.Cut("a:1")
				f.Cut("b:1")
			}()
			c.CallContext(ctx, "Bank.Sleep", time.Second, new(string)) //nolint:errcheck // they all fail
			cancel()
		}
		retries = c.Stats().Retries
		require.Positive(t, retries)
	})
	return retries
}

func TestConcurrentCallersShareOneDial(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(5 * time.Second) // how it takes pings is known
		f.Delay("a:1", 100*time.Millisecond)
		before := f.Dials("a:1")
		f.Cut("a:1")
		synctest.Wait() // the client has seen it
		ends := make(chan error)
		for range 100 {
			go func() { ends <- c.Call("Bank.Where", struct{}{}, new(string)) }()
		}
		for range 100 {
			require.NoError(t, <-ends)
		}
		require.Equal(t, 1, f.Dials("a:1")-before)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		var retries atomic.Int32
		f.dialer.Trace = &rpcx.ClientTrace{Retry: func(context.Context, rpcx.RetryInfo) { retries.Add(1) }}
		c := f.dial()
		synctest.Wait()
		f.kill("c:1") // its prober is about to dial
		call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		calls := make(chan error, 1)
		go func() {
			calls <- c.CallContext(rpcx.WithIdempotent(t.Context()), "Bank.Sleep", time.Hour, new(string))
		}()
		time.Sleep(time.Second)
		retries.Store(0)
		require.NoError(t, c.Close())
		<-call.Done
		require.Equal(t, rpcx.ErrShutdown, call.Error)
		require.Equal(t, rpcx.ErrShutdown, <-calls)
		require.Zero(t, retries.Load(), "a closed client repeats nothing")
		require.Equal(t, rpcx.ErrShutdown, c.Call("Bank.Where", struct{}{}, new(string)))
		require.Equal(t, rpcx.ErrShutdown, c.Close())
		for _, a := range f.addrs {
			f.Resume(a)
		}
	}) // the bubble fails if a goroutine is left
}

func TestTracesTellTheStory(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var story []string
		tell := func(s string) { story = append(story, s) }
		f.dialer.Trace = &rpcx.ClientTrace{
			BreakerChanged: func(i rpcx.BreakerInfo) {
				if i.Endpoint == "a:1" {
					tell(fmt.Sprintf("breaker %v", i.To))
				}
			},
			Suspicion: func(i rpcx.SuspicionInfo) {
				if i.Endpoint == "a:1" {
					tell(i.Verdict.String())
				}
			},
		}
		c := f.dial()
		time.Sleep(10 * time.Second)
		f.Stall("a:1")
		time.Sleep(5 * time.Second)
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Close())
		require.Equal(t, "suspected, breaker open, convicted, breaker half-open, breaker closed",
			strings.Join(dropRepeats(story), ", "))
	})
}

// dropRepeats leaves out rounds of half-open and open, of which chance decides

// how many there are.

func dropRepeats(story []string) []string {
	var out []string
	for _, s := range story {
		if n := len(out); n >= 2 && s == "breaker open" && out[n-1] == "breaker half-open" {
			out = out[:n-1]
			continue
		}
		out = append(out, s)
	}
	return out
}
