package rpcx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

var errTabClosed = errors.New("the user closed the tab")

// endings are contexts that end with a cause after a second.
var endings = map[string]struct {
	make func(context.Context) (context.Context, context.CancelFunc)
	is   error
}{
	"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(time.Second, func() { cancel(errTabClosed) })
		return ctx, func() { timer.Stop(); cancel(nil) }
	}, context.Canceled},
	"out of time": {func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, time.Second, errTabClosed)
	}, context.DeadlineExceeded},
}

// Wherever a call waits when its context ends, its error matches both the context's and its
// cause, and names that.
func TestCauseOfAContextIsKept(t *testing.T) {
	t.Parallel()
	for end, ending := range endings {
		for at, where := range map[string]func(f *fleet){
			"an answer":       func(f *fleet) {},
			"an answer alone": func(f *fleet) { f.dialer.Heartbeat = -1 },
			"the queue":       func(f *fleet) { f.dialer.MaxCalls, f.dialer.QueueTimeout = 2, time.Hour },
			"an endpoint":     func(f *fleet) { f.dialer.MaxInFlight, f.dialer.QueueTimeout = 1, time.Hour },
			"a hedge": func(f *fleet) {
				f.dialer.Hedge = &rpcx.Hedge{Delay: time.Millisecond}
				f.dialer.Methods = map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}
			},
			"longer than its timeout": func(f *fleet) { f.dialer.CallTimeout = time.Minute },
		} {
			t.Run(end+"/"+at, func(t *testing.T) {
				inFleet(t, 2, func(t *testing.T, f *fleet) {
					where(f)
					c := f.dial()
					defer c.Close()
					for range 2 { // that fill the caps
						c.Go("Bank.Sleep", time.Hour, new(string), nil)
					}
					ctx, cancel := ending.make(t.Context())
					defer cancel()
					err := c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string))
					require.ErrorIs(t, err, ending.is)
					require.ErrorIs(t, err, errTabClosed)
					require.ErrorContains(t, err, errTabClosed.Error())
					require.Equal(t, ending.is == context.DeadlineExceeded, callError(t, err).Timeout())
				})
			})
		}
	}
}

// Between two attempts, the last error is kept as well.
func TestCauseStandsBesideTheLastError(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Retry = rpcx.Retry{MaxAttempts: 1000, Budget: -1}
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		ctx, cancel := endings["canceled"].make(t.Context())
		defer cancel()
		err := c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errTabClosed)
		require.ErrorContains(t, err, "refused")
	})
}

// A context that ended before the call, one of a dial, and one that has no cause.
func TestCauseAtTheEdges(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTabClosed)
		require.ErrorIs(t, c.CallContext(ctx, "Bank.Where", struct{}{}, new(string)), errTabClosed)

		plain, stop := context.WithCancel(t.Context())
		stop()
		err := c.CallContext(plain, "Bank.Where", struct{}{}, new(string))
		require.Equal(t, context.Canceled, callError(t, err).Err)

		c.Go("Bank.Sleep", time.Hour, new(string), nil)
		err = c.CloseContext(ctx)
		require.ErrorIs(t, err, errTabClosed)
		require.ErrorIs(t, err, context.Canceled)

		f.Blackhole("a:1")
		ctx, end := endings["out of time"].make(t.Context())
		defer end()
		_, err = f.dialer.DialContext(ctx, "tcp", "a:1")
		require.ErrorIs(t, err, errTabClosed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A timeout of the client's own is no cause of the caller's.
func TestTimeoutOfTheClientHasNoCause(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.CallTimeout = time.Second
		c := f.dial()
		defer c.Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errTabClosed)
		defer cancel()
		err := c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string))
		require.Equal(t, context.DeadlineExceeded, callError(t, err).Err)
	})
}
