package rpcx

import (
	"fmt"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
)

// CallInfo is what a whole call came to.
type CallInfo struct {
	Method   string
	Attempts int
	Started  time.Time
	Duration time.Duration // until the reply came, or the error was certain
	Err      error         // as CallContext returns it
}

// PickInfo is the balancer's choice for an attempt.
type PickInfo struct {
	Method   string
	Attempt  int    // counted from 1
	Endpoint string // empty if there was none
	Err      error  // why there was none; errors.Is tells ErrUnavailable from breaker.ErrThrottled
}

// AttemptInfo is what one attempt of a call came to.
type AttemptInfo struct {
	Method   string
	Endpoint string
	Attempt  int  // counted from 1
	Hedge    bool // it is the second of two that race: see Dialer.Hedge
	Started  time.Time
	Duration time.Duration
	Sent     Sent  // meaningful if Err is not nil
	Err      error // nil for success
}

// RetryInfo tells of a repetition that is about to happen, or would be.
type RetryInfo struct {
	Method  string
	Attempt int           // the attempt that failed, counted from 1
	Wait    time.Duration // before the next one; 0 for another endpoint at once
	Err     error         // why
}

// HedgeInfo tells of a second attempt that was sent beside a first one.
type HedgeInfo struct {
	Method   string
	Attempt  int           // the second one, counted from 1
	Endpoint string        // where it goes
	First    string        // where the first one went
	Delay    time.Duration // how long that one has had
}

// ConnInfo tells of a connection.
type ConnInfo struct {
	Endpoint string
	// Duration is what the dial took, or how long a closed connection lived.
	Duration time.Duration
	Err      error // nil for a dial that went well
}

// PingInfo is what a ping came to.
type PingInfo struct {
	Endpoint string
	Probe    bool // it tried an endpoint whose breaker is half-open, and dialed if need be
	Started  time.Time
	Duration time.Duration
	Err      error // nil if the peer answered, as any server does
}

// PingSupportInfo says that an endpoint is pinged no more, or is again.
type PingSupportInfo struct {
	Endpoint string
	Support  PingSupport
}

// BreakerInfo is one change of an endpoint's breaker.
type BreakerInfo struct {
	Endpoint string
	breaker.Event
}

// SuspicionInfo is one change of mind of an endpoint's failure detector.
type SuspicionInfo struct {
	Endpoint string
	Verdict  Verdict
	Phi      float64
	Silence  time.Duration // since the peer first owed an answer
	// Fault is why a peer was Spared or the fault is a LocalFault, if that is known.
	Fault detector.Fault
}

// ResolvedInfo says what a set of endpoints has changed.
type ResolvedInfo struct {
	Added, Removed, Kept int
	// Err is why the last set is kept: an error of the resolver, or what is wrong
	// with its set.
	Err error
}

// ViewsInfo says how the detector's view of an endpoint differs from that of the
// calls (gray failure; Huang and others, HotOS 2017).
type ViewsInfo struct {
	Endpoint   string
	Comparison detector.Comparison
}

// Verdict is a failure detector's opinion of a peer.
type Verdict uint8

const (
	// Trusted says that the peer answers again.
	Trusted Verdict = iota
	// Suspected says that phi has reached 1: the balancer prefers other endpoints.
	Suspected
	// Convicted says that phi has reached the threshold: the connections are
	// closed, and the breaker is open.
	Convicted
	// Spared says that phi has reached the threshold, and the connections are closed, but
	// the breaker stays closed: half of the endpoints are out already, or most fell silent
	// together, so that the fault is more likely on this side; or this is the only
	// endpoint, or has no breaker.
	Spared
	// LocalFault says that this process was not running when it should have
	// been; no endpoint is blamed.
	LocalFault
)

// String returns the verdict's name in lower case.
func (v Verdict) String() string {
	switch v {
	case Trusted:
		return "trusted"
	case Suspected:
		return "suspected"
	case Convicted:
		return "convicted"
	case Spared:
		return "spared"
	case LocalFault:
		return "local fault"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}
