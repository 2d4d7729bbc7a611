package rpcx

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"resilientrpc/breaker"
	"resilientrpc/detector"
)

const (
	// journalSize is how many entries a journal holds: an hour of a bad day, in less
	// memory than one connection takes.
	journalSize = 256
	// maxEntryText bounds the text of an entry, in bytes. Causes come from the wire.
	maxEntryText = 400
)

// A journal is the last that happened to a client, in plain words, for those who come
// to look afterwards. It is always kept: what it notes is rare, and never a call. The
// oldest entries make room for new ones.
type journal struct {
	mu      sync.Mutex // protects following; not held while an error says its text
	entries []entry    // a ring once it is full
	seq     uint64     // of the newest entry
}

// entry is one line of a journal.
type entry struct {
	Seq      uint64 // from 1, without gaps
	At       time.Time
	Kind     string  // what it is about: breaker, detector, connection, endpoints or control
	Level    level   // how bad it is
	Endpoint string  `json:",omitempty"`
	Text     string  // a sentence that goes on from the endpoint's name
	State    string  `json:",omitempty"` // which a breaker has entered
	Phi      float64 `json:",omitempty"` // at which the detector changed its mind
}

// level is how bad an entry is.
type level string

const (
	good    level = "good"
	neutral level = "info"
	warning level = "warning"
	bad     level = "bad"
)

// note adds an entry and gives it its number.
func (j *journal) note(e entry) {
	e.Text = bounded(e.Text)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e.Seq = j.seq
	if len(j.entries) < journalSize {
		j.entries = append(j.entries, e)
		return
	}
	j.entries[(j.seq-1)%journalSize] = e
}

// since returns the entries after the one with the given number, the oldest first.
func (j *journal) since(seq uint64) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := max(seq, j.seq-uint64(len(j.entries)))
	if from >= j.seq {
		return nil
	}
	out := make([]entry, 0, j.seq-from)
	for n := from; n < j.seq; n++ {
		out = append(out, j.entries[n%journalSize])
	}
	return out
}

// bounded makes text from elsewhere fit: valid, and not too long.
func bounded(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxEntryText {
		return s
	}
	n := maxEntryText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// words returns an error's text. It may be a user's, whose Error may panic, which
// fmt turns into words.
func words(err error) string { return fmt.Sprintf("%v", err) }

// trace returns the hooks that fill the journal. None is a call's.
func (j *journal) trace() *ClientTrace {
	return &ClientTrace{
		ConnClosed:     j.connClosed,
		BreakerChanged: j.breakerChanged,
		Suspicion:      j.suspicion,
		ViewsDiffer:    j.viewsDiffer,
		Resolved:       j.resolved,
	}
}

func (j *journal) connClosed(i ConnInfo) {
	var convicted *unresponsiveError
	switch {
	case i.Err == nil, errors.Is(i.Err, ErrShutdown):
		return // it was meant to
	case errors.As(i.Err, &convicted) && !convicted.conn:
		return // the detector says so itself
	}
	j.note(entry{
		At: time.Now(), Kind: "connection", Level: warning, Endpoint: i.Endpoint,
		Text: "lost a connection after " + brief(i.Duration) + ": " + words(i.Err),
	})
}

func (j *journal) breakerChanged(i BreakerInfo) {
	e := entry{At: i.At, Kind: "breaker", Endpoint: i.Endpoint, State: i.To.String()}
	e.Level, e.Text = breakerWords(i)
	j.note(e)
}

func breakerWords(i BreakerInfo) (level, string) {
	switch i.To {
	case breaker.Closed:
		return good, "takes calls again: its breaker is closed"
	case breaker.Open:
		return bad, "takes no calls for " + brief(i.OpenFor) + ": " + words(i.Cause)
	case breaker.HalfOpen:
		return neutral, "is being tried: its breaker is half-open"
	case breaker.ForcedOpen:
		return warning, "takes no calls until it is told to: its breaker is forced open"
	}
	return warning, "has its breaker " + i.To.String()
}

func (j *journal) suspicion(i SuspicionInfo) {
	e := entry{At: time.Now(), Kind: "detector", Level: warning, Endpoint: i.Endpoint, Phi: i.Phi}
	switch i.Verdict {
	case Trusted:
		e.Level, e.Text = good, "answers again: others are not preferred any more"
	case Suspected:
		e.Text = fmt.Sprintf("is late to answer (phi %.1f): others are preferred", i.Phi)
	case Convicted:
		e.Level, e.Text = bad, fmt.Sprintf("does not respond: silent for %s (phi %.1f)", brief(i.Silence), i.Phi)
	case Spared:
		e.Text = fmt.Sprintf("does not respond, and is spared: silent for %s (phi %.1f), %s", brief(i.Silence), i.Phi, whySpared(i.Fault))
	case LocalFault:
		e.Text = fmt.Sprintf("is not blamed for a silence (phi %.1f): %v, the fault is on our side", i.Phi, i.Fault)
	}
	j.note(e)
}

func whySpared(f detector.Fault) string {
	if f == detector.NoFault {
		return "and too many are out already, or there is no breaker"
	}
	return fmt.Sprintf("and so are others (%v): the fault is more likely on our side", f)
}

func (j *journal) viewsDiffer(i ViewsInfo) {
	e := entry{At: time.Now(), Kind: "detector", Level: good, Endpoint: i.Endpoint, Text: "is seen alike by the detector and by the calls again"}
	if i.Comparison != detector.Agree {
		e.Level, e.Text = warning, "is seen differently by the detector and by the calls: "+i.Comparison.String()
	}
	j.note(e)
}

func (j *journal) resolved(i ResolvedInfo) {
	e := entry{At: time.Now(), Kind: "endpoints", Level: neutral}
	switch {
	case i.Err != nil:
		e.Level, e.Text = warning, fmt.Sprintf("the last set of endpoints is kept (%d): %s", i.Kept, words(i.Err))
	case i.Added+i.Removed > 0:
		e.Text = fmt.Sprintf("endpoints resolved: %d added, %d removed, %d kept", i.Added, i.Removed, i.Kept)
	default:
		return
	}
	j.note(e)
}

// brief rounds a duration to what a reader wants to know of it.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
