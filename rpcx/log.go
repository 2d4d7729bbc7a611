package rpcx

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/errtext"
)

// quietFor is how long an event keeps others like it out of the log, and quietDebug the
// same at level Debug, where one expects to see more.
const (
	quietFor   = time.Minute
	quietDebug = time.Second
)

const (
	// manySubjects is how many subjects are remembered before those that are quiet no
	// more are forgotten: endpoints may come and go.
	manySubjects = 1024
	// manyKinds is how many kinds of errors of one subject are told apart.
	manyKinds = 8
)

// eventLog logs what the hooks report, so that what fails every second is not a line
// every second. An episode begins with a line. Events of a kind that was logged within
// quietFor are counted, and their number is in the next line; an error of another kind is
// logged at once. A line says when the episode is over, if its begin was logged.
type eventLog struct {
	log *slog.Logger

	mu       sync.Mutex // protects following; not held while logging
	episodes map[subject]*episode
	many     int // when to forget next
}

// subject is what an episode is about.
type subject struct{ event, endpoint, method string }

type episode struct {
	began  time.Time
	quiet  map[string]time.Time // by kind, until when it is only counted
	held   int                  // events since the last line
	times  int                  // events since the episode began
	logged bool                 // a line of this episode was
}

// logTrace returns the hooks of a log, nil for none.
func logTrace(log *slog.Logger) *ClientTrace {
	if log == nil {
		return nil
	}
	l := &eventLog{log: log, episodes: make(map[subject]*episode), many: manySubjects}
	return &ClientTrace{
		Retry:           l.retry,
		BudgetExhausted: l.budgetExhausted,
		Hedge:           l.hedge,
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
		l.tell(ctx, slog.LevelDebug, subject{event: "retry", method: i.Method}, errtext.Of(i.Err), "call is tried again",
			slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Duration("wait", i.Wait), slog.Any("err", i.Err))
	}
}

func (l *eventLog) budgetExhausted(ctx context.Context, i RetryInfo) {
	l.tell(ctx, slog.LevelWarn, subject{event: "budget"}, errtext.Of(i.Err), "retry budget is exhausted",
		slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Any("err", i.Err))
}

func (l *eventLog) hedge(ctx context.Context, i HedgeInfo) {
	l.tell(ctx, slog.LevelDebug, subject{event: "hedge", method: i.Method}, "", "call is hedged",
		slog.String("method", i.Method), slog.String("first", i.First), slog.String("endpoint", i.Endpoint), slog.Duration("delay", i.Delay))
}

func (l *eventLog) connDone(i ConnInfo) {
	s, where := subject{event: "dial", endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	if i.Err != nil {
		l.tell(context.Background(), slog.LevelWarn, s, errtext.Of(i.Err), "dial failed", where, slog.Any("err", i.Err))
		return
	}
	l.end(s, "dial succeeded again", where)
}

// breakerChanged logs an outage as one episode, from the first opening to the closing.
func (l *eventLog) breakerChanged(i BreakerInfo) {
	s := subject{event: "breaker", endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.Any("from", i.From), slog.Any("to", i.To)}
	if i.To == breaker.Closed {
		l.end(s, "breaker closed", attrs...)
		return
	}
	why := i.To.String()
	if i.Cause != nil {
		why, attrs = errtext.Outage(i.Cause), append(attrs, slog.Any("cause", i.Cause))
	}
	l.tell(context.Background(), slog.LevelInfo, s, why, "breaker changed", attrs...)
}

func (l *eventLog) suspicion(i SuspicionInfo) {
	s := subject{event: i.Verdict.String(), endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.Any("verdict", i.Verdict), slog.Float64("phi", i.Phi)}
	if i.Verdict == Trusted || i.Verdict == Suspected {
		l.tell(context.Background(), slog.LevelDebug, s, "", "endpoint is "+i.Verdict.String(), attrs...)
		return
	}
	attrs = append(attrs, slog.Duration("silence", i.Silence), slog.Any("fault", i.Fault))
	if i.Verdict == Spared {
		attrs = append(attrs, slog.String("kept", "in service: "+whySpared(i.Fault)))
	}
	l.tell(context.Background(), slog.LevelWarn, s, "", "endpoint does not respond", attrs...)
}

func (l *eventLog) pingSupport(i PingSupportInfo) {
	level, msg := slog.LevelInfo, "endpoint is pinged again"
	if i.Support.stopped() {
		level, msg = slog.LevelWarn, "endpoint is not pinged any more: if it hangs, calls wait longer for it; after an outage, calls probe it"
	}
	l.tell(context.Background(), level, subject{event: "pings " + i.Support.String(), endpoint: i.Endpoint}, "", msg,
		slog.String("endpoint", i.Endpoint), slog.Any("pings", i.Support))
}

func (l *eventLog) viewsDiffer(i ViewsInfo) {
	s, where := subject{event: "views", endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	switch i.Comparison {
	case detector.Agree:
		l.end(s, "detector and calls agree again", where)
	case detector.GrayFailure:
		l.tell(context.Background(), slog.LevelWarn, s, "", "endpoint answers pings, but its calls fail", where, slog.Any("comparison", i.Comparison))
	default:
		l.tell(context.Background(), slog.LevelWarn, s, "", "endpoint is suspected, but its calls succeed", where, slog.Any("comparison", i.Comparison))
	}
}

func (l *eventLog) resolved(i ResolvedInfo) {
	s := subject{event: "resolved"}
	if i.Err != nil {
		l.tell(context.Background(), slog.LevelWarn, s, errtext.Of(i.Err), "endpoints not resolved", slog.Int("kept", i.Kept), slog.Any("err", i.Err))
		return
	}
	l.end(s, "endpoints resolved again")
	if i.Added+i.Removed > 0 { // each one: the next says what changed since, and not what this one did
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "endpoints resolved",
			slog.Int("added", i.Added), slog.Int("removed", i.Removed), slog.Int("kept", i.Kept))
	}
}

// tell logs an event, or counts it if one of its subject and kind was logged just now. Why
// is the text of its error, if it has one.
func (l *eventLog) tell(ctx context.Context, level slog.Level, s subject, why, msg string, attrs ...slog.Attr) {
	if !l.log.Enabled(ctx, level) {
		return
	}
	quiet := quietFor
	if level == slog.LevelDebug {
		quiet = quietDebug
	}
	held, ok := l.admit(time.Now(), s, errtext.Kind(why), quiet)
	if !ok {
		return
	}
	if held > 0 {
		attrs = append(attrs, slog.Int("suppressed", held))
	}
	l.log.LogAttrs(ctx, level, msg, attrs...)
}

// admit reports whether an event is to be logged, and how many before it were not.
func (l *eventLog) admit(now time.Time, s subject, kind string, quiet time.Duration) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.episodes[s]
	if e == nil {
		l.forget(now)
		e = &episode{quiet: make(map[string]time.Time)}
		l.episodes[s] = e
	}
	if e.times++; e.times == 1 {
		e.began = now
	}
	if !e.admit(now, kind, quiet) {
		e.held++
		return 0, false
	}
	held, e.held, e.logged = e.held, 0, true
	return held, true
}

// admit reports whether an event of the kind is to be logged now, and keeps others of the
// kind out of the log from then on. Beyond manyKinds, further kinds are one.
func (e *episode) admit(now time.Time, kind string, quiet time.Duration) bool {
	maps.DeleteFunc(e.quiet, func(_ string, until time.Time) bool { return !now.Before(until) })
	if _, known := e.quiet[kind]; !known && len(e.quiet) >= manyKinds {
		kind = "others"
	}
	if _, known := e.quiet[kind]; known {
		return false
	}
	e.quiet[kind] = now.Add(quiet)
	return true
}

// forget makes room, seldom enough to cost nothing. l.mu is held.
func (l *eventLog) forget(now time.Time) {
	if len(l.episodes) < l.many {
		return
	}
	for s, e := range l.episodes {
		if !slices.ContainsFunc(slices.Collect(maps.Values(e.quiet)), now.Before) {
			delete(l.episodes, s)
		}
	}
	l.many = max(manySubjects, 2*len(l.episodes))
}

// end logs that an episode is over, with the number of its events and how long it lasted,
// if its begin was logged.
func (l *eventLog) end(s subject, msg string, attrs ...slog.Attr) {
	l.mu.Lock()
	e := l.episodes[s]
	if e == nil || e.times == 0 {
		l.mu.Unlock()
		return
	}
	times, lasted, logged := e.times, time.Since(e.began), e.logged
	e.times, e.logged = 0, false
	if logged {
		e.held = 0
	}
	l.mu.Unlock()
	if logged {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, msg, append(attrs, slog.Int("events", times), slog.Duration("lasted", lasted))...)
	}
}
