package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// failsafes is net/rpc by hand with failsafe-go's policies: a retry around, for each
// replica, a circuit breaker around a timeout.
type failsafes struct {
	lines    []conn
	breakers []circuitbreaker.CircuitBreaker[Message]
	guards   []failsafe.Executor[Message] // by replica
	retries  map[bool]failsafe.Executor[Message]
	turn     atomic.Uint64
}

func dialFailsafe(addrs []string, o options) (client, error) {
	f := &failsafes{lines: newLines(addrs, o, dialNetRPC), retries: make(map[bool]failsafe.Executor[Message])}
	for range addrs {
		b := circuitbreaker.NewBuilder[Message]().
			HandleIf(func(_ Message, err error) bool {
				return err != nil && !answered(err) && !errors.Is(err, context.Canceled)
			}).
			WithFailureRateThreshold(0.5, 20, 10*time.Second).
			WithDelay(openFor).WithSuccessThreshold(1).Build()
		f.breakers = append(f.breakers, b)
		f.guards = append(f.guards, failsafe.With(b, timeout.New[Message](o.patience)))
	}
	for _, m := range []method{square, deposit} {
		f.retries[m.idempotent()] = failsafe.With(retrypolicy.NewBuilder[Message]().
			HandleIf(func(_ Message, err error) bool { return again(m, err) || errors.Is(err, circuitbreaker.ErrOpen) }).
			WithMaxAttempts(tries).WithBackoff(firstPause, lastPause).WithJitterFactor(0.5).ReturnLastFailure().Build())
	}
	return connected(f)
}

func (f *failsafes) call(ctx context.Context, m method, in Message) (Message, error) {
	return f.retries[m.idempotent()].WithContext(ctx).GetWithExecution(func(e failsafe.Execution[Message]) (Message, error) {
		i := f.next()
		return f.guards[i].WithContext(e.Context()).GetWithExecution(func(e failsafe.Execution[Message]) (Message, error) {
			return f.lines[i].call(e.Context(), m, in)
		})
	})
}

// next is the replica whose turn it is, or after it the first whose breaker is not
// open.
func (f *failsafes) next() int {
	first := f.turn.Add(1)
	n := uint64(len(f.lines))
	for i := range n {
		at := (first + i) % n
		if b := f.breakers[at]; !b.IsOpen() || b.RemainingDelay() == 0 {
			return int(at)
		}
	}
	return int(first % n)
}

// Close implements io.Closer.
func (f *failsafes) Close() error { return closeAll(f.lines) }
