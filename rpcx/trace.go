package rpcx

import (
	"fmt"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
)

// ClientTrace is a set of hooks that run as things happen to a [Client], in the
// image of httptrace.ClientTrace. Any hook may be nil; a nil hook costs nothing.
//
// Hooks may be called concurrently, and some after the call that caused them has
// returned. They run with no lock of the client held and may call its methods, all
// but Close, which waits for the goroutines that run hooks. They stand in the way
// of the work: be quick. A hook must not panic.
type ClientTrace struct {
	// AttemptDone is called after each attempt of a call, also one that never
	// left because the endpoint could not be reached.
	AttemptDone func(AttemptInfo)
	// Retry is called before the client waits, or goes on at once, for the
	// next attempt of a call.
	Retry func(RetryInfo)
	// CallDone is called once when a call ends.
	CallDone func(CallInfo)
	// ConnDone is called when a dial ended, well or not.
	ConnDone func(ConnInfo)
	// ConnClosed is called when a connection is over; Err says why.
	ConnClosed func(ConnInfo)
	// BreakerChanged is called for every change of an endpoint's breaker, in
	// order for each endpoint.
	BreakerChanged func(BreakerInfo)
	// Suspicion is called when the detector begins to doubt a peer, stops
	// doubting it, convicts it, or finds that the fault was on our side.
	Suspicion func(SuspicionInfo)
	// Resolved is called for everything that the Dialer.Resolver says, in order.
	Resolved func(ResolvedInfo)
	// ViewsDiffer is called when the detector and the calls have held
	// different views of an endpoint for long: a gray failure, of a peer that
	// answers pings and fails calls, or a false alarm; and when they agree again.
	ViewsDiffer func(ViewsInfo)
}

// AttemptInfo is what one attempt of a call came to.
type AttemptInfo struct {
	Method   string
	Endpoint string
	Attempt  int // counted from 1
	Started  time.Time
	Duration time.Duration
	Sent     Sent  // meaningful if Err is not nil
	Err      error // nil for success
}

// RetryInfo tells of a repetition that is about to happen.
type RetryInfo struct {
	Method  string
	Attempt int           // the attempt that failed, counted from 1
	Wait    time.Duration // before the next one; 0 for another endpoint at once
	Err     error         // why
}

// CallInfo is what a whole call came to.
type CallInfo struct {
	Method   string
	Attempts int
	Started  time.Time
	Duration time.Duration
	Err      error // as the caller gets it
}

// ConnInfo tells of a connection.
type ConnInfo struct {
	Endpoint string
	Err      error // nil for a dial that went well
}

// BreakerInfo is one change of an endpoint's breaker.
type BreakerInfo struct {
	Endpoint string
	Method   string // whose breaker it is, with Dialer.BreakerPerMethod; empty for the endpoint's
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
	Endpoint string
	Verdict  detector.Verdict
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
	// Spared says that phi has reached the threshold and the connections are
	// closed, but half of the endpoints are out on suspicion already or fell
	// silent with this one, so that the fault is more likely ours, or there is
	// no breaker: it stays as it is.
	Spared
	// LocalFault says that this process was not running when it should have
	// been; nobody is blamed.
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

func (t *ClientTrace) attemptDone(i AttemptInfo) {
	if t != nil && t.AttemptDone != nil {
		t.AttemptDone(i)
	}
}

func (t *ClientTrace) retry(i RetryInfo) {
	if t != nil && t.Retry != nil {
		t.Retry(i)
	}
}

func (t *ClientTrace) callDone(i CallInfo) {
	if t != nil && t.CallDone != nil {
		t.CallDone(i)
	}
}

func (t *ClientTrace) connDone(i ConnInfo) {
	if t != nil && t.ConnDone != nil {
		t.ConnDone(i)
	}
}

func (t *ClientTrace) connClosed(i ConnInfo) {
	if t != nil && t.ConnClosed != nil {
		t.ConnClosed(i)
	}
}

func (t *ClientTrace) breakerChanged(i BreakerInfo) {
	if t != nil && t.BreakerChanged != nil {
		t.BreakerChanged(i)
	}
}

func (t *ClientTrace) suspicion(i SuspicionInfo) {
	if t != nil && t.Suspicion != nil {
		t.Suspicion(i)
	}
}

func (t *ClientTrace) resolved(i ResolvedInfo) {
	if t != nil && t.Resolved != nil {
		t.Resolved(i)
	}
}

func (t *ClientTrace) viewsDiffer(i ViewsInfo) {
	if t != nil && t.ViewsDiffer != nil {
		t.ViewsDiffer(i)
	}
}
