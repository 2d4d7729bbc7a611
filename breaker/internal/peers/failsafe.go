package main

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

type failsafeGuard struct {
	circuitbreaker.CircuitBreaker[any]
	executor failsafe.Executor[any]
}

// newFailsafeRate opens at half of at least 20 calls in the window.
func newFailsafeRate(s settings) guard {
	return newFailsafe(s, failsafeBuilder().WithFailureRateThreshold(0.5, 20, window))
}

// newFailsafeCount opens after five failures in a row.
func newFailsafeCount(s settings) guard {
	return newFailsafe(s, failsafeBuilder().WithFailureThreshold(5))
}

// failsafeBuilder has no way to say that a call proves nothing: what HandleIf
// does not call a failure is a success.
func failsafeBuilder() circuitbreaker.Builder[any] {
	return circuitbreaker.NewBuilder[any]().HandleIf(func(_ any, err error) bool {
		return err != nil && !errors.Is(err, errApp) && !errors.Is(err, context.Canceled)
	})
}

// newFailsafe uses every option that bears on a case. WithDelayFunc could be
// given a growing interval (case 22) that its user computes and resets.
func newFailsafe(s settings, b circuitbreaker.Builder[any]) guard {
	b.WithDelay(openFor).WithSuccessThreshold(uint(max(1, s.probes)))
	if s.growing {
		b.WithJitterFactor(0.25)
	}
	if s.onChange != nil {
		b.OnStateChanged(func(e circuitbreaker.StateChangedEvent) { s.onChange(state(e.NewState.String())) })
	}
	cb := b.Build()
	return failsafeGuard{cb, failsafe.With(cb)}
}

func (f failsafeGuard) Do(ctx context.Context, fn func(context.Context) error) error {
	return f.executor.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error {
		return fn(e.Context())
	})
}

func (f failsafeGuard) State() state { return state(f.CircuitBreaker.State().String()) }

func (f failsafeGuard) Counts() (calls, failures int) {
	return int(f.Metrics().Executions()), int(f.Metrics().Failures())
}

func (f failsafeGuard) RetryAfter() time.Duration { return f.RemainingDelay() }
