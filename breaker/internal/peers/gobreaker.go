package main

import (
	"context"
	"errors"

	"github.com/sony/gobreaker/v2"
)

type goBreaker struct {
	*gobreaker.CircuitBreaker[struct{}]
}

// newGobreakerWindow counts in a rolling window. Its ReadyToTrip is as near to
// ours as Counts allows: a ratio, or a run of failures without any success in
// the window.
func newGobreakerWindow(s settings) guard {
	st := gobreakerSettings(s)
	st.Interval, st.BucketPeriod = window, window/10
	st.ReadyToTrip = func(c gobreaker.Counts) bool {
		ended := c.TotalSuccesses + c.TotalFailures
		return c.ConsecutiveFailures >= 5 && c.TotalSuccesses == 0 ||
			ended >= 20 && c.TotalFailures*2 >= ended
	}
	return goBreaker{gobreaker.NewCircuitBreaker[struct{}](st)}
}

// newGobreakerRun is the default rule with the default Interval of 0.
func newGobreakerRun(s settings) guard {
	st := gobreakerSettings(s)
	st.ReadyToTrip = func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 }
	return goBreaker{gobreaker.NewCircuitBreaker[struct{}](st)}
}

// gobreakerSettings uses every option there is. IsExcluded and IsSuccessful see
// the error alone, so whose deadline was missed (case 12) they cannot tell; a
// user could, by marking the error inside the function that Execute runs.
func gobreakerSettings(s settings) gobreaker.Settings {
	st := gobreaker.Settings{
		MaxRequests:  uint32(s.probes),
		Timeout:      openFor,
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, errApp) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
	}
	if s.onChange != nil {
		st.OnStateChange = func(_ string, _, to gobreaker.State) { s.onChange(state(to.String())) }
	}
	return st
}

func (g goBreaker) Do(ctx context.Context, fn func(context.Context) error) error {
	_, err := g.Execute(func() (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

func (g goBreaker) State() state { return state(g.CircuitBreaker.State().String()) }

func (g goBreaker) Counts() (calls, failures int) {
	c := g.CircuitBreaker.Counts()
	return int(c.Requests), int(c.TotalFailures)
}
