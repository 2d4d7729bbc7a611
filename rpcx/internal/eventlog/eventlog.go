// Package eventlog logs events so that what fails every second is not a line every second.
//
// Of each subject, an event of a kind that was not logged just now is logged at once; others
// are counted, and the number is in the next line. What is remembered is bounded by the number
// of subjects that are not quiet. No lock is held while logging. The package knows no hook and
// no Client. It imports internal/errtext and nothing else but the standard library.
package eventlog

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

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

// A Log writes events to a logger. An episode begins with a line. Events of a kind that was
// logged within quietFor are counted, and their number is in the next line; an error of
// another kind is logged at once. A line says when the episode is over, if its begin was
// logged. It is safe for concurrent use.
type Log struct {
	log *slog.Logger

	mu       sync.Mutex // protects following; not held while logging
	episodes map[Subject]*episode
	many     int // when to forget next
}

// A Subject is what an episode is about.
type Subject struct{ Event, Endpoint, Method string }

// episode is what is remembered of a subject.
type episode struct {
	began  time.Time
	quiet  map[string]time.Time // by kind, until when it is only counted
	held   int                  // events since the last line
	times  int                  // events since the episode began
	logged bool                 // a line of this episode was
}

// New returns a Log that writes to log.
func New(log *slog.Logger) *Log {
	return &Log{log: log, episodes: make(map[Subject]*episode), many: manySubjects}
}

// Tell logs an event, or counts it if one of its subject and kind was logged just now. Why
// is the text of its error, if it has one.
func (l *Log) Tell(ctx context.Context, level slog.Level, s Subject, why, msg string, attrs ...slog.Attr) {
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
func (l *Log) admit(now time.Time, s Subject, kind string, quiet time.Duration) (held int, ok bool) {
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
func (l *Log) forget(now time.Time) {
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

// End logs that an episode is over, with the number of its events and how long it lasted,
// if its begin was logged.
func (l *Log) End(s Subject, msg string, attrs ...slog.Attr) {
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
