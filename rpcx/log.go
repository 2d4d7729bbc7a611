package rpcx

import (
	"context"
	"log/slog"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/errtext"
	"resilientrpc/rpcx/internal/eventlog"
)

// eventLog logs what the hooks report.
type eventLog struct {
	*eventlog.Log
	log *slog.Logger // the same
}

// logTrace returns the hooks of a log, nil for none.
func logTrace(log *slog.Logger) *ClientTrace {
	if log == nil {
		return nil
	}
	l := &eventLog{eventlog.New(log), log}
	return &ClientTrace{
		Retry:           l.retry,
		BudgetExhausted: l.budgetExhausted,
		Hedge:           l.hedge,
		Recall:          l.recall,
		ConnDone:        l.connDone,
		BreakerChanged:  l.breakerChanged,
		Suspicion:       l.suspicion,
		PingSupport:     l.pingSupport,
		ViewsDiffer:     l.viewsDiffer,
		Resolved:        l.resolved,
	}
}

func (l *eventLog) retry(ctx context.Context, i RetryInfo) {
	if l.log.Enabled(ctx, slog.LevelDebug) { // else the error's text is not needed
		l.Tell(ctx, slog.LevelDebug, eventlog.Subject{Event: "retry", Method: i.Method}, errtext.Of(i.Err), "call is tried again",
			slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Duration("wait", i.Wait), slog.Any("err", i.Err))
	}
}

func (l *eventLog) budgetExhausted(ctx context.Context, i RetryInfo) {
	l.Tell(ctx, slog.LevelWarn, eventlog.Subject{Event: "budget"}, errtext.Of(i.Err), "retry budget is exhausted",
		slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Any("err", i.Err))
}

func (l *eventLog) hedge(ctx context.Context, i HedgeInfo) {
	l.Tell(ctx, slog.LevelDebug, eventlog.Subject{Event: "hedge", Method: i.Method}, "", "call is hedged",
		slog.String("method", i.Method), slog.String("first", i.First), slog.String("endpoint", i.Endpoint), slog.Duration("delay", i.Delay))
}

func (l *eventLog) recall(ctx context.Context, i RecallInfo) {
	level := slog.LevelWarn
	if i.Answer.Resolved() {
		level = slog.LevelDebug
	}
	l.Tell(ctx, level, eventlog.Subject{Event: "recall " + i.Answer.String(), Endpoint: i.Endpoint}, "", "connection broke; the server was asked what became of the call",
		slog.String("method", i.Method), slog.String("endpoint", i.Endpoint), slog.String("answer", i.Answer.String()), slog.Duration("took", i.Duration))
}

func (l *eventLog) connDone(i ConnInfo) {
	s, where := eventlog.Subject{Event: "dial", Endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	if i.Err != nil {
		l.Tell(context.Background(), slog.LevelWarn, s, errtext.Of(i.Err), "dial failed", where, slog.Any("err", i.Err))
		return
	}
	l.End(s, "dial succeeded again", where)
}

// breakerChanged logs an outage as one episode, from the first opening to the closing.
func (l *eventLog) breakerChanged(i BreakerInfo) {
	s := eventlog.Subject{Event: "breaker", Endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.String("from", i.From.String()), slog.String("to", i.To.String())}
	if i.To == breaker.Closed {
		l.End(s, "breaker closed", attrs...)
		return
	}
	why := i.To.String()
	if i.Cause != nil {
		why, attrs = errtext.Outage(i.Cause), append(attrs, slog.Any("cause", i.Cause))
	}
	l.Tell(context.Background(), slog.LevelInfo, s, why, "breaker changed", attrs...)
}

func (l *eventLog) suspicion(i SuspicionInfo) {
	s := eventlog.Subject{Event: i.Verdict.String(), Endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.String("verdict", i.Verdict.String()), slog.Float64("phi", i.Phi)}
	if i.Verdict == Trusted || i.Verdict == Suspected {
		l.Tell(context.Background(), slog.LevelDebug, s, "", "endpoint is "+i.Verdict.String(), attrs...)
		return
	}
	attrs = append(attrs, slog.Duration("silence", i.Silence), slog.String("fault", i.Fault.String()))
	if i.Verdict == Spared {
		attrs = append(attrs, slog.String("kept", "in service: "+whySpared(i.Fault)))
	}
	l.Tell(context.Background(), slog.LevelWarn, s, "", "endpoint does not respond", attrs...)
}

func (l *eventLog) pingSupport(i PingSupportInfo) {
	level, msg := slog.LevelInfo, "endpoint is pinged again"
	if i.Support.stopped() {
		level, msg = slog.LevelWarn, "endpoint is not pinged any more: if it hangs, calls wait longer for it; after an outage, calls probe it"
	}
	l.Tell(context.Background(), level, eventlog.Subject{Event: "pings " + i.Support.String(), Endpoint: i.Endpoint}, "", msg,
		slog.String("endpoint", i.Endpoint), slog.String("pings", i.Support.String()))
}

func (l *eventLog) viewsDiffer(i ViewsInfo) {
	s, where := eventlog.Subject{Event: "views", Endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	switch i.Comparison {
	case detector.Agree:
		l.End(s, "detector and calls agree again", where)
	case detector.GrayFailure:
		l.Tell(context.Background(), slog.LevelWarn, s, "", "endpoint answers pings, but its calls fail", where, slog.String("comparison", i.Comparison.String()))
	default:
		l.Tell(context.Background(), slog.LevelWarn, s, "", "endpoint is suspected, but its calls succeed", where, slog.String("comparison", i.Comparison.String()))
	}
}

func (l *eventLog) resolved(i ResolvedInfo) {
	s := eventlog.Subject{Event: "resolved"}
	if i.Err != nil {
		l.Tell(context.Background(), slog.LevelWarn, s, errtext.Of(i.Err), "endpoints not resolved", slog.Int("kept", i.Kept), slog.Any("err", i.Err))
		return
	}
	l.End(s, "endpoints resolved again")
	if i.Added+i.Removed > 0 { // each one: the next says what changed since, and not what this one did
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "endpoints resolved",
			slog.Int("added", i.Added), slog.Int("removed", i.Removed), slog.Int("kept", i.Kept))
	}
}
