package main

import (
	"context"
	"errors"
	"time"
)

// What a protected call may return. errDown is the endpoint's failure; errApp
// is an answer the application meant to give; context.Canceled is the
// caller's own doing.
var (
	errDown = errors.New("endpoint down")
	errApp  = errors.New("no such user")
)

// A state is one of the three that every breaker has.
type state string

const (
	closed   state = "closed"
	open     state = "open"
	halfOpen state = "half-open"
)

// A guard is a circuit breaker as its user sees it.
type guard interface {
	// Do runs fn unless the breaker turns the call away.
	Do(ctx context.Context, fn func(context.Context) error) error
	State() state
	// Counts returns how many calls are counted and how many of them failed.
	Counts() (calls, failures int)
}

// A forecaster can tell how long it will stay open.
type forecaster interface {
	RetryAfter() time.Duration
}

// settings are the parameters of a hard case, which each breaker's adapter translates.
type settings struct {
	probes   int // half-open: calls let in, and successes to close; 0 means 1
	onChange func(to state)
	growing  bool // use whatever growth, jitter and reset there is
}

// openFor is the open interval of all careful configurations, without growth.
const openFor = 5 * time.Second

// window is how far back a careful configuration looks.
const window = 10 * time.Second

// A contender is a breaker in one configuration.
type contender struct {
	name     string
	new      func(settings) guard
	windowed bool // it counts within a window in time
}

// contenders are ours and, of each peer, both configurations that a careful
// reader of its documentation would choose between: a window in time, and a
// plain run or count of failures.
var contenders = []contender{
	{"ours", newOurs, true},
	{"gobreaker window", newGobreakerWindow, true},
	{"gobreaker run", newGobreakerRun, false},
	{"failsafe rate", newFailsafeRate, true},
	{"failsafe count", newFailsafeCount, false},
}
