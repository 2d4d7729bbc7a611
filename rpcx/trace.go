package rpcx

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
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

	// Hedge is called when a call that takes long has been sent to a second endpoint,
	// before that attempt ends. The hooks of its two attempts may run at the same time,
	// and AttemptDone of the one that comes late after CallDone. A second attempt whose
	// connection ends before it is sent is no hedge: AttemptDone alone tells of it.
	Hedge func(context.Context, HedgeInfo)

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
		CallStart:       joinStart(t.CallStart, u.CallStart),
		CallDone:        joinOfCall(t.CallDone, u.CallDone),
		AttemptStart:    joinStart(t.AttemptStart, u.AttemptStart),
		AttemptDone:     joinOfCall(t.AttemptDone, u.AttemptDone),
		Pick:            joinOfCall(t.Pick, u.Pick),
		Retry:           joinOfCall(t.Retry, u.Retry),
		BudgetExhausted: joinOfCall(t.BudgetExhausted, u.BudgetExhausted),
		Hedge:           joinOfCall(t.Hedge, u.Hedge),
		ConnStart:       join(t.ConnStart, u.ConnStart),
		ConnDone:        join(t.ConnDone, u.ConnDone),
		ConnClosed:      join(t.ConnClosed, u.ConnClosed),
		Ping:            join(t.Ping, u.Ping),
		PingSupport:     join(t.PingSupport, u.PingSupport),
		BreakerChanged:  join(t.BreakerChanged, u.BreakerChanged),
		Suspicion:       join(t.Suspicion, u.Suspicion),
		ViewsDiffer:     join(t.ViewsDiffer, u.ViewsDiffer),
		Resolved:        join(t.Resolved, u.Resolved),
	}
}

func join[T any](f, g func(T)) func(T) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(i T) {
		defer g(i)
		f(i)
	}
}

func joinOfCall[T any](f, g func(context.Context, T)) func(context.Context, T) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(ctx context.Context, i T) {
		defer g(ctx, i)
		f(ctx, i)
	}
}

func joinStart[T any](f, g func(context.Context, T) context.Context) func(context.Context, T) context.Context {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(ctx context.Context, i T) (out context.Context) {
		out = ctx // unless f returns another
		defer func() { out = g(out, i) }()
		return f(ctx, i)
	}
}

// guarded returns hooks that a panic does not leave. The client's own are such, so
// that a bad hook cannot end a reader or a prober, and with it the program.
func (t *ClientTrace) guarded(log *slog.Logger) *ClientTrace {
	return &ClientTrace{
		CallStart:       guardStart(log, t.CallStart),
		CallDone:        guardOfCall(log, t.CallDone),
		AttemptStart:    guardStart(log, t.AttemptStart),
		AttemptDone:     guardOfCall(log, t.AttemptDone),
		Pick:            guardOfCall(log, t.Pick),
		Retry:           guardOfCall(log, t.Retry),
		BudgetExhausted: guardOfCall(log, t.BudgetExhausted),
		Hedge:           guardOfCall(log, t.Hedge),
		ConnStart:       guard(log, t.ConnStart),
		ConnDone:        guard(log, t.ConnDone),
		ConnClosed:      guard(log, t.ConnClosed),
		Ping:            guard(log, t.Ping),
		PingSupport:     guard(log, t.PingSupport),
		BreakerChanged:  guard(log, t.BreakerChanged),
		Suspicion:       guard(log, t.Suspicion),
		ViewsDiffer:     guard(log, t.ViewsDiffer),
		Resolved:        guard(log, t.Resolved),
	}
}

func guard[T any](log *slog.Logger, hook func(T)) func(T) {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(i T) {
		defer stopPanic(log, told, "a hook of rpcx")
		hook(i)
	}
}

func guardOfCall[T any](log *slog.Logger, hook func(context.Context, T)) func(context.Context, T) {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(ctx context.Context, i T) {
		defer stopPanic(log, told, "a hook of rpcx")
		hook(ctx, i)
	}
}

func guardStart[T any](log *slog.Logger, hook func(context.Context, T) context.Context) func(context.Context, T) context.Context {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(ctx context.Context, i T) (out context.Context) {
		out = ctx // of a hook that panics
		defer stopPanic(log, told, "a hook of rpcx")
		if c := hook(ctx, i); c != nil {
			out = c
		}
		return out
	}
}

// stopPanic is deferred. It logs the first panic of a hook; more of the same would
// be as many as there are calls.
func stopPanic(log *slog.Logger, told *sync.Once, function string) {
	if v := recover(); v != nil {
		logPanic(log, told, function, v, debug.Stack())
	}
}

// logPanic logs a panic, unless one was told already.
func logPanic(log *slog.Logger, told *sync.Once, function string, value any, stack []byte) {
	told.Do(func() {
		defer func() { _ = recover() }() // it may be the log that panics
		if log == nil {
			log = slog.Default()
		}
		log.Error(function+" panicked", "panic", value, "stack", string(stack))
	})
}
