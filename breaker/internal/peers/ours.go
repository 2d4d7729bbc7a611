package main

import (
	"context"
	"errors"
	"time"

	"resilientrpc/breaker"
)

type ours struct{ *breaker.Breaker }

// attemptTimeout is what the endpoint is given to answer.
const attemptTimeout = time.Second

func newOurs(s settings) guard {
	cfg := breaker.Config{
		Probes:       s.probes,
		ProbeTimeout: openFor,
		SlowCall:     attemptTimeout,
		Classify:     classify,
	}
	if !s.growing {
		cfg.OpenFor, cfg.MaxOpenFor = openFor, openFor
	}
	if s.onChange != nil {
		cfg.OnChange = func(e breaker.Event) { s.onChange(state(e.To.String())) }
	}
	return ours{mustOurs(cfg)}
}

func mustOurs(cfg breaker.Config) *breaker.Breaker {
	b, err := breaker.New(cfg)
	if err != nil {
		panic(err)
	}
	return b
}

func classify(err error) breaker.Outcome {
	switch {
	case err == nil, errors.Is(err, errApp):
		return breaker.Success
	case errors.Is(err, context.Canceled):
		return breaker.Ignored
	}
	return breaker.Failure
}

func (o ours) State() state { return state(o.Breaker.State(time.Now()).String()) }

func (o ours) Counts() (calls, failures int) {
	s := o.Stats(time.Now())
	return s.Calls, s.Failures
}

func (o ours) RetryAfter() time.Duration { return o.Stats(time.Now()).RetryAfter }
