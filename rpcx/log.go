package rpcx

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
)

// quietFor is how long an event keeps others like it out of the log, and
// quietDebug the same at level Debug, which one turns on to see more.
const (
	quietFor   = time.Minute
	quietDebug = time.Second
)

// manySubjects is how many are remembered before those that are quiet no more are
// forgotten: endpoints may come and go.
const manySubjects = 1024

// eventLog is one more listener to a client: it logs what the hooks tell, so that
// what fails every second is not a line every second. An episode begins with a
// line; more of the same are counted, and told with the next line, a minute
// later; and when it is over one line says so, if its begin was logged.
type eventLog struct {
	log *slog.Logger

	mu       sync.Mutex // protects following; not held while logging
	episodes map[subject]*episode
	many     int // when to forget next
}

// subject is what lines may be alike in.
type subject struct{ event, endpoint, method, text string }

type episode struct {
	quiet  time.Time // until when nothing more is logged
	held   int       // events since the last line
	times  int       // events since the episode began
	logged bool      // the begin of this episode was
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
	l.tell(ctx, slog.LevelDebug, subject{event: "retry", method: i.Method}, "call is tried again",
		slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Duration("wait", i.Wait), slog.Any("err", i.Err))
}

func (l *eventLog) budgetExhausted(ctx context.Context, i RetryInfo) {
	l.tell(ctx, slog.LevelWarn, subject{event: "budget"}, "retry budget is exhausted",
		slog.String("method", i.Method), slog.Int("attempt", i.Attempt), slog.Any("err", i.Err))
}

func (l *eventLog) hedge(ctx context.Context, i HedgeInfo) {
	l.tell(ctx, slog.LevelDebug, subject{event: "hedge", method: i.Method}, "call is hedged",
		slog.String("method", i.Method), slog.String("first", i.First), slog.String("endpoint", i.Endpoint), slog.Duration("delay", i.Delay))
}

func (l *eventLog) connDone(i ConnInfo) {
	s, where := subject{event: "dial", endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	if i.Err != nil {
		l.tell(context.Background(), slog.LevelWarn, s, "dial failed", where, slog.Any("err", i.Err))
		return
	}
	l.end(slog.LevelInfo, s, "dial succeeded again", where)
}

func (l *eventLog) breakerChanged(i BreakerInfo) {
	s := subject{event: "breaker", endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.Any("from", i.From), slog.Any("to", i.To)}
	if i.To == breaker.Closed {
		l.end(slog.LevelInfo, s, "breaker closed", attrs...)
		return
	}
	if i.Cause != nil {
		attrs = append(attrs, slog.Any("cause", i.Cause))
	}
	l.tell(context.Background(), slog.LevelInfo, s, "breaker changed", attrs...)
}

func (l *eventLog) suspicion(i SuspicionInfo) {
	s := subject{event: i.Verdict.String(), endpoint: i.Endpoint}
	attrs := []slog.Attr{slog.String("endpoint", i.Endpoint), slog.Any("verdict", i.Verdict), slog.Float64("phi", i.Phi)}
	if i.Verdict == Trusted || i.Verdict == Suspected {
		l.tell(context.Background(), slog.LevelDebug, s, "peer is "+i.Verdict.String(), attrs...)
		return
	}
	attrs = append(attrs, slog.Duration("silence", i.Silence), slog.Any("fault", i.Fault))
	l.tell(context.Background(), slog.LevelWarn, s, "peer does not respond", attrs...)
}

func (l *eventLog) pingSupport(i PingSupportInfo) {
	level, msg := slog.LevelInfo, "peer is pinged again"
	if i.Support.stopped() {
		level, msg = slog.LevelWarn, "peer is pinged no more: if it hangs, its calls wait longer, and calls try it when it was away"
	}
	l.tell(context.Background(), level, subject{event: "pings " + i.Support.String(), endpoint: i.Endpoint}, msg,
		slog.String("endpoint", i.Endpoint), slog.Any("pings", i.Support))
}

func (l *eventLog) viewsDiffer(i ViewsInfo) {
	s, where := subject{event: "views", endpoint: i.Endpoint}, slog.String("endpoint", i.Endpoint)
	if i.Comparison == detector.Agree {
		l.end(slog.LevelInfo, s, "detector and calls see a peer alike again", where)
		return
	}
	l.tell(context.Background(), slog.LevelWarn, s, "detector and calls see a peer differently", where, slog.Any("comparison", i.Comparison))
}

func (l *eventLog) resolved(i ResolvedInfo) {
	switch {
	case i.Err != nil:
		s := subject{event: "resolved", text: i.Err.Error()} // another failure is no repetition
		l.tell(context.Background(), slog.LevelWarn, s, "endpoints not resolved", slog.Int("kept", i.Kept), slog.Any("err", i.Err))
	case i.Added+i.Removed > 0:
		l.endResolved()
		// Each one: the next says what changed since, and not what this one did.
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "endpoints resolved",
			slog.Int("added", i.Added), slog.Int("removed", i.Removed), slog.Int("kept", i.Kept))
	default:
		l.endResolved()
	}
}

// tell logs an event, or counts it if one of its subject was logged just now.
func (l *eventLog) tell(ctx context.Context, level slog.Level, s subject, msg string, attrs ...slog.Attr) {
	if !l.log.Enabled(ctx, level) {
		return
	}
	held, ok := l.admit(s, level, time.Now())
	if !ok {
		return
	}
	if held > 0 {
		attrs = append(attrs, slog.Int("suppressed", held))
	}
	l.log.LogAttrs(ctx, level, msg, attrs...)
}

// admit reports whether an event is to be logged, and how many before it were not.
func (l *eventLog) admit(s subject, level slog.Level, now time.Time) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.episodes[s]
	if e == nil {
		l.forget(now)
		e = &episode{}
		l.episodes[s] = e
	}
	e.times++
	if now.Before(e.quiet) {
		e.held++
		return 0, false
	}
	held, e.held, e.logged = e.held, 0, true
	e.quiet = now.Add(quietFor)
	if level == slog.LevelDebug {
		e.quiet = now.Add(quietDebug)
	}
	return held, true
}

// forget makes room, seldom enough to cost nothing. l.mu is held.
func (l *eventLog) forget(now time.Time) {
	if len(l.episodes) < l.many {
		return
	}
	for s, e := range l.episodes {
		if e.quiet.Before(now) {
			delete(l.episodes, s)
		}
	}
	l.many = max(manySubjects, 2*len(l.episodes))
}

// end logs that an episode is over, if its begin was logged.
func (l *eventLog) end(level slog.Level, s subject, msg string, attrs ...slog.Attr) {
	l.mu.Lock()
	times := 0
	if e := l.episodes[s]; e != nil {
		times = e.close()
	}
	l.mu.Unlock()
	if times > 0 && l.log.Enabled(context.Background(), level) {
		l.log.LogAttrs(context.Background(), level, msg, append(attrs, slog.Int("events", times))...)
	}
}

// endResolved is end for all failures to resolve the endpoints.
func (l *eventLog) endResolved() {
	times := 0
	l.mu.Lock()
	for s, e := range l.episodes {
		if s.event == "resolved" {
			times += e.close()
		}
	}
	l.mu.Unlock()
	if times > 0 && l.log.Enabled(context.Background(), slog.LevelInfo) {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "endpoints resolved again", slog.Int("events", times))
	}
}

// close ends an episode and returns how many events it had, 0 if its begin was not
// logged. The log's mu is held.
func (e *episode) close() (times int) {
	if e.logged {
		times, e.held = e.times, 0
	}
	e.times, e.logged = 0, false
	return times
}
