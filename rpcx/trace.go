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

// ClientTrace is a set of hooks that are called as things happen to a [Client], modelled
// on httptrace.ClientTrace. Any hook may be nil; a nil hook costs nothing.
// [ClientTrace.Join] combines several sets.
//
// The hooks of one call run in the order of its events, with CallStart first and CallDone
// last, except for attempts that end after their call. The hooks of one connection and of
// one breaker are in order, too. Hooks of different calls run concurrently.
//
// Hooks run synchronously, so they should return quickly. No lock of the client is held: they
// may call its methods, except for Close and CloseContext, which wait for the goroutines that
// run hooks. A hook of a call of [Client.Go] must not wait for another call, because its
// connection may not be read until it returns. If a hook panics, that is logged once, to
// Dialer.Logger or else to slog's default. A hook must not call runtime.Goexit.
//
// Hooks of a call get its context. CallStart returns the context for the rest of the call,
// and AttemptStart that for the attempt; both must be derived from the context given. For a
// call of Go, which has no context, only the values of the returned contexts are used.
type ClientTrace struct {
	// CallStart is called when a call begins, with its Method and Started.
	CallStart func(context.Context, CallInfo) context.Context
	// CallDone is called once when a call ends.
	CallDone func(context.Context, CallInfo)
	// AttemptStart is called when an attempt has an endpoint, with Method, Endpoint, Attempt,
	// Hedge and Started. The breaker of the endpoint may still refuse the attempt.
	AttemptStart func(context.Context, AttemptInfo) context.Context
	// AttemptDone is called after each attempt of a call, also after one that was not sent
	// because the endpoint could not be reached.
	AttemptDone func(context.Context, AttemptInfo)
	// Pick is called when an endpoint was picked for an attempt, or when there is none:
	// because no endpoint takes calls or has room, the call was throttled, or it ended while
	// it waited for room.
	Pick func(context.Context, PickInfo)
	// Retry is called before the pause, if any, before the next attempt of a call.
	Retry func(context.Context, RetryInfo)
	// BudgetExhausted is called in place of Retry if a call is not retried only because
	// Retry.Budget is spent, and after Retry if other calls have spent it during the pause.
	// Wait is 0.
	BudgetExhausted func(context.Context, RetryInfo)

	// Hedge is called when a call that takes long, or whose endpoint has become suspect, has
	// been sent to a second endpoint, before that attempt ends. The hooks of the two attempts
	// may run concurrently, and AttemptDone of the slower one after CallDone. If the
	// connection of the second attempt ends before it is sent, Hedge is not called.
	Hedge func(context.Context, HedgeInfo)

	// Recall is called after the connection of a call has broken and the client has asked its
	// server, one of [Serve], what became of the call. It is called after AttemptDone, whose
	// Sent is MaybeSent, and before the call ends or is tried again.
	Recall func(context.Context, RecallInfo)

	// ConnStart is called before a dial. A second connection, made to send a ping, is reported
	// only if it takes the place of a silent one.
	ConnStart func(ConnInfo)
	// ConnDone is called when a dial has succeeded or failed.
	ConnDone func(ConnInfo)
	// ConnClosed is called when a connection has ended; Err says why.
	ConnClosed func(ConnInfo)
	// Ping is called for an answered ping of an idle connection, at the end of the heartbeat,
	// and after each probe of a half-open endpoint, before the breaker changes.
	Ping func(PingInfo)
	// PingSupport is called when the client stops pinging an endpoint, because the endpoint
	// ignores pings or its connections end after them, and when the endpoint answers a ping
	// after all.
	PingSupport func(PingSupportInfo)
	// BreakerChanged is called for every change of an endpoint's breaker, in
	// order for each endpoint.
	BreakerChanged func(BreakerInfo)
	// Suspicion is called when the detector suspects a peer, trusts it again, convicts it, or
	// finds that the fault was on this side.
	Suspicion func(SuspicionInfo)
	// Resolved is called for each set and each error that Dialer.Resolver delivers, in order.
	Resolved func(ResolvedInfo)
	// ViewsDiffer is called when the detector's view of an endpoint has differed from that of
	// the calls for 10 s, and when the two agree again. The difference is a gray failure (the
	// peer answers pings and fails calls) or a false alarm. The views are compared only while
	// the endpoint takes calls and calls end there.
	ViewsDiffer func(ViewsInfo)
}

// Join returns hooks that call those of t and then those of u; t or u may be nil. The context
// that a hook of t returns is passed to that of u. If a hook of t panics, that of u still
// runs.
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

// CallInfo describes a call with all its attempts.
type CallInfo struct {
	Method   string
	Attempts int
	Started  time.Time
	Duration time.Duration // until the reply or the error
	Err      error         // as CallContext returns it
}

// PickInfo is the balancer's choice for an attempt.
type PickInfo struct {
	Method   string
	Attempt  int    // counted from 1
	Endpoint string // empty if there is none
	// Err is why there is none. It matches ErrUnavailable, ErrOverloaded or
	// breaker.ErrThrottled, or is the error of the call's context or ErrShutdown.
	Err error
}

// AttemptInfo describes one attempt of a call.
type AttemptInfo struct {
	Method   string
	Endpoint string
	Attempt  int  // counted from 1
	Hedge    bool // it is the second of two concurrent attempts: see Dialer.Hedge
	Started  time.Time
	Duration time.Duration
	Sent     Sent  // meaningful if Err is not nil
	Err      error // nil for success
}

// RetryInfo describes the next attempt of a call, or why there is none.
type RetryInfo struct {
	Method  string
	Attempt int           // the attempt that failed, counted from 1
	Wait    time.Duration // before the next one; 0 for another endpoint at once
	Err     error         // why the attempt failed
}

// HedgeInfo describes the second of two concurrent attempts.
type HedgeInfo struct {
	Method   string
	Attempt  int           // the second one, counted from 1
	Endpoint string        // of the second attempt
	First    string        // the endpoint of the first attempt
	Delay    time.Duration // from the start of the first attempt to that of the second
}

// RecallInfo is the answer of a server that was asked what became of a call.
type RecallInfo struct {
	Method   string
	Endpoint string
	Attempt  int // the attempt whose connection broke, counted from 1
	Answer   Recall
	Duration time.Duration // since the connection broke
}

// ConnInfo describes a connection.
type ConnInfo struct {
	Endpoint string
	// Duration is that of the dial or, in ConnClosed, of the connection.
	Duration time.Duration
	Err      error // nil for a dial that succeeded
}

// PingInfo describes a ping.
type PingInfo struct {
	Endpoint string
	Probe    bool // it probed an endpoint whose breaker is half-open, and may have dialed
	Started  time.Time
	Duration time.Duration
	Err      error // nil if the peer answered, even with an error
}

// PingSupportInfo says that the client no longer pings an endpoint, or does so again.
type PingSupportInfo struct {
	Endpoint string
	Support  PingSupport
}

// BreakerInfo is one change of an endpoint's breaker.
type BreakerInfo struct {
	Endpoint string
	breaker.Event
}

// SuspicionInfo is one change of the verdict on an endpoint.
type SuspicionInfo struct {
	Endpoint string
	Verdict  Verdict
	Phi      float64
	Silence  time.Duration // how long a Convicted or Spared peer has owed an answer; else 0
	// Fault is the fault found on this side, for Spared and LocalFault; NoFault if none was.
	Fault detector.Fault
}

// ResolvedInfo describes what a resolver has delivered.
type ResolvedInfo struct {
	Added, Removed, Kept int // endpoints
	// Err is why the last set is kept: an error of the resolver, or of a set that is invalid
	// or empty. Nil if the new set is in use.
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
	// the breaker stays closed: more than half of the endpoints would be convicted, or most
	// became silent at the same time, so that the fault is more likely on this side; or this
	// is the only endpoint, or has no breaker.
	Spared
	// LocalFault says that this process was paused or the machine suspended. The silence is
	// not held against the endpoint.
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
