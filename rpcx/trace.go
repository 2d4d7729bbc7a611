package rpcx

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/hook"
)

// ClientTrace is a set of hooks that run as things happen to a [Client], in the
// image of httptrace.ClientTrace. Any hook may be nil; a nil hook costs nothing.
// [ClientTrace.Join] lets several listen.
//
// The hooks of one call run in the order of its events, with CallStart first and
// CallDone last, but for attempts that end after their call. Those of one
// connection and of one breaker are in order too. Hooks of different calls run
// concurrently.
//
// Hooks run with no lock of the client held and may call its methods, all but
// Close, which waits for the goroutines that run hooks. They stand in the way of
// the work: be quick. In one of a call of [Client.Go], the connection may wait to be
// read until it returns: it must not wait for another call. A hook that panics is
// stopped where it is, and that is logged once, to Dialer.Logger or else to slog's
// default; it must not call runtime.Goexit.
//
// Hooks of a call get its context, and the two that return one can add to it: what
// CallStart returns goes to all that the call does from then on, and what
// AttemptStart returns to that attempt. It must descend from the one given. A call of
// Go has no context, and looks at no more than the values of what the hooks make of it.
type ClientTrace struct {
	// CallStart is called when a call begins, with its Method and Started.
	CallStart func(context.Context, CallInfo) context.Context
	// CallDone is called once when a call ends.
	CallDone func(context.Context, CallInfo)
	// AttemptStart is called when an attempt has been given an endpoint, whose
	// breaker may yet refuse it, with what is known then.
	AttemptStart func(context.Context, AttemptInfo) context.Context
	// AttemptDone is called after each attempt of a call, also one that never
	// left because the endpoint could not be reached.
	AttemptDone func(context.Context, AttemptInfo)
	// Pick is called when an endpoint was picked for an attempt, or none: the
	// call was throttled, or no endpoint takes calls.
	Pick func(context.Context, PickInfo)
	// Retry is called before the client waits, or goes on at once, for the
	// next attempt of a call.
	Retry func(context.Context, RetryInfo)
	// BudgetExhausted is called in place of Retry when a call is not repeated only
	// because Retry.Budget is spent, and after Retry if others have spent it while the
	// call waited. Wait is 0.
	BudgetExhausted func(context.Context, RetryInfo)

	// Hedge is called when a call that takes long, or whose endpoint has become suspect, has
	// been sent to a second endpoint, before that attempt ends. The hooks of its two attempts
	// may run at the same time, and AttemptDone of the one that comes late after CallDone. A
	// second attempt whose connection ends before it is sent is no hedge: AttemptDone alone
	// tells of it.
	Hedge func(context.Context, HedgeInfo)

	// Recall is called when the connection of a call has broken and its server, of [Serve], was
	// asked what became of it: between AttemptDone, which says MaybeSent, and what follows from
	// the answer.
	Recall func(context.Context, RecallInfo)

	// ConnStart is called before a dial.
	ConnStart func(ConnInfo)
	// ConnDone is called when a dial ended, well or not.
	ConnDone func(ConnInfo)
	// ConnClosed is called when a connection is over; Err says why.
	ConnClosed func(ConnInfo)
	// Ping is called for an answered ping of an idle connection, when the heartbeat ends,
	// and after each probe of a half-open endpoint, before its breaker is told.
	Ping func(PingInfo)
	// PingSupport is called when an endpoint has shown that it ignores pings, or that its
	// connections end behind them, and is pinged no more; and if it answers one after all.
	PingSupport func(PingSupportInfo)
	// BreakerChanged is called for every change of an endpoint's breaker, in
	// order for each endpoint.
	BreakerChanged func(BreakerInfo)
	// Suspicion is called when the detector begins to doubt a peer, stops
	// doubting it, convicts it, or finds that the fault was on our side.
	Suspicion func(SuspicionInfo)
	// Resolved is called for everything that the Dialer.Resolver says, in order.
	Resolved func(ResolvedInfo)
	// ViewsDiffer is called when the detector and the calls have held
	// different views of an endpoint for 10 s: a gray failure, of a peer that
	// answers pings and fails calls, or a false alarm; and when they agree again.
	// Views are compared only while the endpoint takes calls and some end there.
	ViewsDiffer func(ViewsInfo)
}

// Join returns hooks that call those of t and then those of u, each of which may
// be nil. Of a hook that returns a context, u's is given what t's returned. A
// panic in t's does not keep u's from running.
func (t *ClientTrace) Join(u *ClientTrace) *ClientTrace {
	if t == nil {
		t = &ClientTrace{}
	}
	if u == nil {
		u = &ClientTrace{}
	}
	return &ClientTrace{
		CallStart:       hook.JoinStart(t.CallStart, u.CallStart),
		CallDone:        hook.JoinOfCall(t.CallDone, u.CallDone),
		AttemptStart:    hook.JoinStart(t.AttemptStart, u.AttemptStart),
		AttemptDone:     hook.JoinOfCall(t.AttemptDone, u.AttemptDone),
		Pick:            hook.JoinOfCall(t.Pick, u.Pick),
		Retry:           hook.JoinOfCall(t.Retry, u.Retry),
		BudgetExhausted: hook.JoinOfCall(t.BudgetExhausted, u.BudgetExhausted),
		Hedge:           hook.JoinOfCall(t.Hedge, u.Hedge),
		Recall:          hook.JoinOfCall(t.Recall, u.Recall),
		ConnStart:       hook.Join(t.ConnStart, u.ConnStart),
		ConnDone:        hook.Join(t.ConnDone, u.ConnDone),
		ConnClosed:      hook.Join(t.ConnClosed, u.ConnClosed),
		Ping:            hook.Join(t.Ping, u.Ping),
		PingSupport:     hook.Join(t.PingSupport, u.PingSupport),
		BreakerChanged:  hook.Join(t.BreakerChanged, u.BreakerChanged),
		Suspicion:       hook.Join(t.Suspicion, u.Suspicion),
		ViewsDiffer:     hook.Join(t.ViewsDiffer, u.ViewsDiffer),
		Resolved:        hook.Join(t.Resolved, u.Resolved),
	}
}

// guarded returns hooks that a panic does not leave. The client's own are such, so
// that a bad hook cannot end a reader or a prober, and with it the program.
func (t *ClientTrace) guarded(log *slog.Logger) *ClientTrace {
	return &ClientTrace{
		CallStart:       hook.GuardStart(log, t.CallStart),
		CallDone:        hook.GuardOfCall(log, t.CallDone),
		AttemptStart:    hook.GuardStart(log, t.AttemptStart),
		AttemptDone:     hook.GuardOfCall(log, t.AttemptDone),
		Pick:            hook.GuardOfCall(log, t.Pick),
		Retry:           hook.GuardOfCall(log, t.Retry),
		BudgetExhausted: hook.GuardOfCall(log, t.BudgetExhausted),
		Hedge:           hook.GuardOfCall(log, t.Hedge),
		Recall:          hook.GuardOfCall(log, t.Recall),
		ConnStart:       hook.Guard(log, t.ConnStart),
		ConnDone:        hook.Guard(log, t.ConnDone),
		ConnClosed:      hook.Guard(log, t.ConnClosed),
		Ping:            hook.Guard(log, t.Ping),
		PingSupport:     hook.Guard(log, t.PingSupport),
		BreakerChanged:  hook.Guard(log, t.BreakerChanged),
		Suspicion:       hook.Guard(log, t.Suspicion),
		ViewsDiffer:     hook.Guard(log, t.ViewsDiffer),
		Resolved:        hook.Guard(log, t.Resolved),
	}
}

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

// RecallInfo is the answer to the question of what became of a call.
type RecallInfo struct {
	Method   string
	Endpoint string
	Attempt  int // whose connection broke, counted from 1
	Answer   Recall
	Duration time.Duration // since the connection broke
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
