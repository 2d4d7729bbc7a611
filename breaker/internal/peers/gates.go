package main

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"resilientrpc/breaker"
)

// A result is what becomes of a call: it is answered in time or missed.
type result int

const (
	answered result = iota
	missed
)

func unguarded(*rand.Rand) gate {
	return func() (func(result), bool) { return func(result) {}, true }
}

func ourGate(cfg breaker.Config) gate {
	b := mustOurs(cfg)
	return func() (func(result), bool) {
		p, err := b.Allow(time.Now())
		return func(r result) {
			switch r {
			case answered:
				p.Done(time.Now(), breaker.Success, nil)
			case missed:
				p.Done(time.Now(), breaker.Failure, nil)
			}
		}, err == nil
	}
}

func gobreakerGate(st gobreaker.Settings) gate {
	b := gobreaker.NewTwoStepCircuitBreaker[struct{}](st)
	failed := errors.New("failed")
	return func() (func(result), bool) {
		done, err := b.Allow()
		return func(r result) {
			switch r {
			case answered:
				done(nil)
			case missed:
				done(failed)
			}
		}, err == nil
	}
}

func failsafeGate(b circuitbreaker.Builder[any]) gate {
	cb := b.Build()
	return func() (func(result), bool) {
		return func(r result) {
			switch r {
			case answered:
				cb.RecordSuccess()
			case missed:
				cb.RecordFailure()
			}
		}, cb.TryAcquirePermit()
	}
}

// A policy is what a client of the lab does to protect itself and its server.
type policy struct {
	name   string
	gate   func(*rand.Rand) gate
	budget bool // of retries
	once   bool // no retries at all
}

func gobreakerTimeout(timeout time.Duration) func(*rand.Rand) gate {
	return func(*rand.Rand) gate { return gobreakerGate(gobreaker.Settings{Timeout: timeout}) }
}

func failsafeDefault(*rand.Rand) gate { return failsafeGate(circuitbreaker.NewBuilder[any]()) }

func failsafeTuned(*rand.Rand) gate {
	return failsafeGate(circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, 20, window).
		WithDelay(openFor).WithJitterFactor(0.25).WithSuccessThreshold(1))
}

func ourDefault(rng *rand.Rand) gate {
	return ourGate(breaker.Config{ProbeTimeout: attemptTimeout, Rand: rng.Float64})
}

// policies are what the outage is played with. The peers' names tell their open
// interval; gobreaker's rule is its default, failsafe's a ratio in a window.
var policies = []policy{
	{name: "no breaker, no retry", gate: unguarded, once: true},
	{name: "no breaker", gate: unguarded},
	{name: "no breaker, budget", gate: unguarded, budget: true},
	{name: "gobreaker default", gate: gobreakerTimeout(0)},
	{name: "gobreaker 5s", gate: gobreakerTimeout(5 * time.Second)},
	{name: "gobreaker 5s, budget", gate: gobreakerTimeout(5 * time.Second), budget: true},
	{name: "gobreaker 1s", gate: gobreakerTimeout(time.Second)},
	{name: "gobreaker 1s, budget", gate: gobreakerTimeout(time.Second), budget: true},
	{name: "failsafe default", gate: failsafeDefault},
	{name: "failsafe 5s", gate: failsafeTuned},
	{name: "failsafe 5s, budget", gate: failsafeTuned, budget: true},
	{name: "ours", gate: ourDefault},
	{name: "ours, budget", gate: ourDefault, budget: true},
}
