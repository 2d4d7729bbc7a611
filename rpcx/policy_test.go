package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

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
