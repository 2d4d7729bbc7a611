package rpcx_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

func TestOnlyIdempotentCallsAreRepeated(t *testing.T) {
	t.Parallel()
	for _, idempotent := range []bool{false, true} {
		t.Run(fmt.Sprint("idempotent=", idempotent), func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				c := f.dial()
				defer c.Close()
				synctest.Wait()
				ctx := t.Context()
				if idempotent {
					ctx = rpcx.WithIdempotent(ctx)
				}
				ended := make(chan error)
				go func() { ended <- c.CallContext(ctx, "Bank.SlowDeposit", Deposit{ID: 7, Amount: 2}, new(int)) }()
				time.Sleep(time.Second)
				require.Equal(t, 1, f.ledger.count(7))
				for _, s := range c.Stats().Endpoints {
					if s.InFlight > 0 {
						f.Cut(s.Address)
					}
				}
				err := <-ended
				if idempotent {
					require.NoError(t, err)
					require.Equal(t, 2, f.ledger.count(7))
					return
				}
				ce := callError(t, err)
				require.Equal(t, rpcx.MaybeSent, ce.Sent)
				require.Equal(t, 1, ce.Attempts)
				require.Equal(t, 1, f.ledger.count(7))
			})
		})
	}
}

// That the last attempt was not sent says nothing of those before it.
func TestDoubtOfAnEarlierAttemptIsReported(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true // else it may be open before the second attempt
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		ended := make(chan error, 1)
		go func() {
			ended <- c.CallContext(rpcx.WithIdempotent(t.Context()), "Bank.SlowDeposit", Deposit{ID: 7, Amount: 2}, new(int))
		}()
		time.Sleep(time.Second)
		f.kill("a:1")
		ce := callError(t, <-ended)
		require.Greater(t, ce.Attempts, 1)
		require.Equal(t, rpcx.MaybeSent, ce.Sent)
		require.Equal(t, 1, f.ledger.count(7), "it ran")
	})
}

func TestIdempotentByMethod(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("Bank.Sleep")
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		ended := make(chan error)
		var name string
		go func() { ended <- c.Call("Bank.Sleep", 2*time.Second, &name) }()
		time.Sleep(time.Second)
		for _, s := range c.Stats().Endpoints {
			if s.InFlight > 0 {
				f.kill(s.Address)
			}
		}
		require.NoError(t, <-ended)
	})
}

func TestCallWaitsForTheNextProbe(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
		f.Resume("a:1")
		for c.Stats().Endpoints[0].State != breaker.Closed {
			err := c.Call("Bank.Where", struct{}{}, new(string))
			if err == nil {
				return
			}
			var open *breaker.OpenError
			require.ErrorAs(t, err, &open)
			require.Greater(t, open.RetryAfter, 400*time.Millisecond, "it could have waited")
		}
		t.Fatal("the probe was faster than every call")
	})
}

func TestBackoffPolicyIsTheUsers(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Retry = rpcx.Retry{BackOff: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(300*time.Millisecond), 4)
		}}
		var waits []time.Duration
		f.dialer.Trace = &rpcx.ClientTrace{Retry: func(_ context.Context, i rpcx.RetryInfo) { waits = append(waits, i.Wait) }}
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		f.kill("a:1")
		f.kill("b:1")
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnavailable)
		require.GreaterOrEqual(t, time.Since(start), 4*300*time.Millisecond)
		waits = slices.DeleteFunc(waits, func(d time.Duration) bool { return d == 0 }) // moved on at once
		require.Len(t, waits, 4)
	})
}

func TestNoSleepPastTheDeadline(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry = rpcx.Retry{BackOff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) }}
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		err := c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
		require.Less(t, time.Since(start), time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestBudgetBoundsRetries(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, retriesOf200(t, 0), uint64(10+200/10))
	require.Greater(t, retriesOf200(t, -1e-9), uint64(100), "negative is no limit, however small")
}

// A call does not give up just before the endpoint it could go to is tried again.

// While an endpoint is down, pings try it: users' calls are not its guinea pigs,

// and a dead address is not dialed in a storm.

func TestDownEndpointIsProbedAtAPace(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		f.kill("a:1")
		before := f.Dials("a:1")
		for range 600 {
			where(t, c, 1)
			time.Sleep(100 * time.Millisecond)
		}
		dials := f.Dials("a:1") - before
		require.Greater(t, dials, 10)
		require.Less(t, dials, 90, "one a second at most, but for the first few")
	})
}

// While one of several is down there is time; while most are, the one that comes back
// is needed.
func TestEndpointsAreTriedMoreOftenWhenFewAreLeft(t *testing.T) {
	t.Parallel()
	inFleet(t, 5, func(t *testing.T, f *fleet) {
		f.dialer.DialTimeout = 100 * time.Millisecond
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		stop := regularly(c)
		defer stop()
		dials := func() int {
			before := f.Dials("a:1")
			time.Sleep(150 * time.Second)
			return f.Dials("a:1") - before
		}
		f.vanish("a:1")
		time.Sleep(time.Minute) // the intervals have grown
		alone := dials()
		for _, addr := range f.addrs[1:3] {
			f.vanish(addr)
		}
		many := dials()
		require.InDelta(t, 40, alone, 10, "every 2.5 to 5 s")
		require.InDelta(t, 135, many, 10, "one a second, apart from what the dial takes")
		for range 10 {
			time.Sleep(7777 * time.Millisecond)
			f.Resume("a:1")
			begin := time.Now()
			for c.Stats().Endpoints[0].State != breaker.Closed {
				time.Sleep(10 * time.Millisecond)
			}
			require.Less(t, time.Since(begin), 1200*time.Millisecond)
			f.vanish("a:1")
		}
	})
}

func TestNoPolicyNoRetry(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry.BackOff = func() backoff.BackOff { return nil }
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), syscall.ECONNREFUSED)
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnavailable)
		require.Zero(t, c.Stats().Retries)
	})
}

// A call that is a retry itself is left to the code that repeats it.
func TestRetriesDoNotMultiply(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("Bank.*")
		f.dialer.Breaker.Disabled = true
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		cutWhileItRuns := func(ctx context.Context) error {
			ended := make(chan error, 1)
			go func() { ended <- c.CallContext(ctx, "Bank.Sleep", 2*time.Second, new(string)) }()
			time.Sleep(time.Second)
			f.Cut("a:1")
			f.Cut("b:1")
			return <-ended
		}
		require.NoError(t, cutWhileItRuns(t.Context()))
		require.Equal(t, uint64(1), c.Stats().Retries)
		err := cutWhileItRuns(rpcx.AsRetry(t.Context()))
		require.Equal(t, 1, callError(t, err).Attempts)
		require.Equal(t, uint64(1), c.Stats().Retries)

		f.kill("a:1") // what was not sent moves on
		for range 20 {
			_, err := rpcx.Invoke[string](rpcx.AsRetry(t.Context()), c, "Bank.Where", struct{}{})
			require.NoError(t, err)
		}
	})
}

// Retries that come from above would otherwise pay for more of them.
func TestRetriesAddNothingToTheBudget(t *testing.T) {
	t.Parallel()
	for _, asRetry := range []bool{false, true} {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			f.dialer.Breaker.Disabled = true
			f.dialer.Methods = idempotent("Bank.Sleep")
			f.dialer.Retry.BackOff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }
			c := f.dial()
			defer c.Close()
			useUp := func() error { // the budget: each attempt is cut
				call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
				for len(call.Done) == 0 {
					time.Sleep(20 * time.Millisecond)
					f.Cut("a:1")
				}
				return (<-call.Done).Error
			}
			require.Error(t, useUp())
			used := c.Stats().Retries
			ctx := t.Context()
			if asRetry {
				ctx = rpcx.AsRetry(ctx)
			}
			for range 50 { // worth 5 retries
				require.NoError(t, c.CallContext(ctx, "Bank.Where", struct{}{}, new(string)))
			}
			require.Error(t, useUp())
			if asRetry {
				require.Equal(t, used, c.Stats().Retries)
			} else {
				require.Greater(t, c.Stats().Retries, used)
			}
		})
	}
}

func TestTimeoutOfAMethod(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.CallTimeout = time.Second
		f.dialer.Methods = map[string]rpcx.MethodOptions{
			"Bank.Sleep": {Timeout: time.Minute}, "Bank.SlowDeposit": {Timeout: -1}, "Bank.W*": {Timeout: time.Millisecond},
		}
		c := f.dial()
		defer c.Close()
		require.NoError(t, c.Call("Bank.Sleep", 30*time.Second, new(string)))
		require.NoError(t, c.Call("Bank.SlowDeposit", Deposit{ID: 1, Amount: 600}, new(int)))
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), context.DeadlineExceeded)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the earlier one counts
		defer cancel()
		require.ErrorIs(t, c.CallContext(ctx, "Bank.Sleep", 30*time.Second, new(string)), context.DeadlineExceeded)
	})
}
