package rpcx_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// The random numbers of a breaker and of a throttle are drawn on goroutines of the client's, and
// while a call has its endpoint.
func TestRandThatPanics(t *testing.T) {
	t.Parallel()
	random := func() float64 { panic(errBoom) }
	t.Run("Breaker", func(t *testing.T) {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			var log lines
			f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
			f.dialer.Breaker.Rand = random
			c := f.dial()
			defer c.Close()
			where(t, c, 1)
			f.kill("a:1")
			require.Error(t, c.Call("Bank.Where", struct{}{}, new(string))) // it dials
			time.Sleep(time.Minute)
			require.NotZero(t, c.Stats().Endpoints[0].Trips)
			f.Resume("a:1")
			time.Sleep(time.Minute)
			f.Stall("a:1") // until it is convicted
			time.Sleep(time.Minute)
			f.Resume("a:1")
			time.Sleep(time.Minute)
			where(t, c, 10)
			require.Len(t, log.with("Dialer.Breaker.Rand panicked"), 1)
			require.Len(t, log.with("rescuecall_test.go"), 1, "the stack")
		})
	})
	t.Run("Throttle", func(t *testing.T) {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			var log lines
			f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
			f.dialer.Throttle, f.dialer.MaxInFlight = &breaker.ThrottleConfig{Rand: random}, 1
			f.dialer.Breaker.Disabled = true // or it refuses the calls first
			c := f.dial()
			defer c.Close()
			where(t, c, 1)
			f.kill("a:1")
			for range 100 {
				require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
				require.Error(t, (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error)
			}
			require.Zero(t, c.Stats().Endpoints[0].InFlight)
			require.Len(t, log.with("Dialer.Throttle.Rand panicked"), 1)
			require.NoError(t, c.CloseContext(t.Context()))
		})
	})
}

// panickingEnd is a policy whose context panics.
type panickingEnd struct{ backoff.BackOff }

func (panickingEnd) Context() context.Context { panic(errBoom) }

// A panic of a policy becomes the error of a call of Go also while the call waits.
func TestPolicyContextThatPanics(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Retry.BackOff = func() backoff.BackOff { return panickingEnd{backoff.NewConstantBackOff(time.Second)} }
		c := f.dial()
		f.kill("a:1")
		call := <-c.Go("Bank.Where", struct{}{}, new(string), nil).Done
		require.ErrorContains(t, call.Error, "a function of the Dialer panicked: boom")
		require.NoError(t, c.CloseContext(t.Context()))
	})
}

// panickingHandler is one of a log.
type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingHandler) Handle(context.Context, slog.Record) error { panic(errBoom) }

// A log that panics does not keep a client from closing.
func TestLoggerThatPanics(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Logger = slog.New(panickingHandler{})
		f.dialer.Methods = idempotent("Misspelt.*")
		c := f.dial()
		where(t, c, 1)
		f.kill("a:1")
		time.Sleep(time.Minute)
		f.Resume("a:1")
		time.Sleep(time.Minute)
		where(t, c, 1)
		require.NoError(t, c.Close())
	})
}
