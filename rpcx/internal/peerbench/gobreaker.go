package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/sony/gobreaker/v2"
)

// gobreakers is net/rpc by hand with a circuit breaker of sony/gobreaker for each
// replica, and cenkalti/backoff between tries.
type gobreakers struct {
	lines    []conn
	breakers []*gobreaker.CircuitBreaker[Message]
	turn     atomic.Uint64
}

func dialGobreaker(addrs []string, o options) (client, error) {
	g := &gobreakers{lines: newLines(addrs, o, dialNetRPC)}
	for range addrs {
		g.breakers = append(g.breakers, gobreaker.NewCircuitBreaker[Message](gobreaker.Settings{
			Timeout:      openFor,
			Interval:     10 * time.Second,
			BucketPeriod: time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.ConsecutiveFailures >= 5 || c.Requests >= 20 && c.TotalFailures*2 >= c.Requests
			},
			// A method that says no is none of the replica's faults.
			IsSuccessful: func(err error) bool { return err == nil || answered(err) },
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		}))
	}
	return connected(g)
}

func (g *gobreakers) call(ctx context.Context, m method, in Message) (Message, error) {
	policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPause), backoff.WithMaxInterval(lastPause))
	return backoff.RetryWithData(func() (Message, error) {
		out, err := g.try(ctx, m, in)
		if err != nil && !again(m, err) {
			err = backoff.Permanent(err)
		}
		return out, err
	}, backoff.WithContext(backoff.WithMaxRetries(policy, tries-1), ctx))
}

// try asks the next replica whose breaker lets it.
func (g *gobreakers) try(ctx context.Context, m method, in Message) (out Message, err error) {
	first := g.turn.Add(1)
	for i := range g.lines {
		at := (first + uint64(i)) % uint64(len(g.lines))
		out, err = g.breakers[at].Execute(func() (Message, error) { return g.lines[at].call(ctx, m, in) })
		if !errors.Is(err, gobreaker.ErrOpenState) && !errors.Is(err, gobreaker.ErrTooManyRequests) {
			return out, err
		}
	}
	return out, fmt.Errorf("%w: %w", errNotSent, err)
}

// Close implements io.Closer.
func (g *gobreakers) Close() error { return closeAll(g.lines) }
