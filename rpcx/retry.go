package rpcx

import (
	"math"

	"github.com/cenkalti/backoff/v4"
)

// Retry says how often a call is tried, and how long to wait in between. The zero
// value is the default.
//
// What is tried again is not a matter of configuration: a call that provably was
// not sent may go to another endpoint; one that may have run is repeated only if
// it is idempotent.
type Retry struct {
	// MaxAttempts is the number of attempts of a call, the first included. Finding no
	// endpoint counts as one; moving a call that was not sent to an endpoint not yet tried
	// does not. Zero means 3, or, if BackOff is set, as many as BackOff and the call's
	// deadline allow, so that a call can outlast an outage; negative means 1. Before
	// another attempt, a call that found no endpoint waits for the next probe, if that is due
	// within half a second.
	MaxAttempts int
	// BackOff makes the policy of one call; policies are not safe for use by
	// several. Nil means exponential with full jitter, at most 50 ms at first,
	// doubled up to 1 s. A policy that returns backoff.Stop, or is nil, ends the call, and
	// so does the end of the context of one made by backoff.WithContext. A call
	// that was not sent waits for 5 ms at least. An error of NetDial or of a codec that
	// is a *backoff.PermanentError ends the call, too.
	//
	// A policy is reset when its call starts, and counts its time from then on. A policy
	// that was not asked for a pause may be reused by another call. The function may be
	// called concurrently. A panic of it or of a policy reaches the caller of
	// CallContext, and becomes the error of a call of Go.
	BackOff func() backoff.BackOff
	// Budget is the share of calls that may be repeated, over the client: every
	// call adds this much of a repetition, up to a stock of 10. Zero means 0.1;
	// negative means no limit. It keeps retries from feeding an overload. Charged
	// to it is what is sent, when it is sent: an attempt that repeats one which a server
	// was given, and a hedge. Waiting for an endpoint costs nothing, and neither does an
	// attempt that did not leave. No call is refused its first attempt for the lack of it.
	Budget float64
}

const (
	defaultAttempts = 3
	defaultBudget   = 0.1
)

func (r Retry) withDefaults() Retry {
	switch {
	case r.MaxAttempts < 0:
		r.MaxAttempts = 1
	case r.MaxAttempts == 0 && r.BackOff != nil:
		r.MaxAttempts = math.MaxInt
	case r.MaxAttempts == 0:
		r.MaxAttempts = defaultAttempts
	}
	if r.Budget == 0 {
		r.Budget = defaultBudget
	}
	return r
}
