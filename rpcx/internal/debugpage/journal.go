package debugpage

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// journalSize is the number of events that a Journal keeps. They suffice for an hour
	// with many failures, and need less memory than a connection.
	journalSize = 256
	// maxText is the largest length of a text in bytes. Texts may come from a server.
	maxText = 400
)

// A Journal keeps the last events of a client. The zero value is empty. It is safe for
// concurrent use.
type Journal struct {
	mu     sync.Mutex // protects following
	events []Event    // a ring buffer when full
	seq    uint64     // Seq of the newest event
	rev    uint64     // number of the last change
}

// An Event is an entry of a Journal.
type Event struct {
	Seq      uint64 // number of the event, from 1 and without gaps; set by the Journal
	Rev      uint64 // number of the event's last change, among those of the Journal; set by the Journal
	At       time.Time
	Kind     string  // breaker, detector, connection, endpoints or control
	Level    Level   // the severity
	Endpoint string  `json:",omitempty"`
	Text     string  // a sentence that begins with the endpoint's address
	State    string  `json:",omitempty"` // the new state of a breaker
	Phi      float64 `json:",omitempty"` // for a detector's event

	Again int       `json:",omitempty"` // number of repetitions; see Journal.Repeat
	Last  time.Time `json:",omitzero"`  // time of the last repetition
}

// Level is the severity of an Event.
type Level string

const (
	Good    Level = "good"    // a recovery
	Info    Level = "info"    // a change that is neither good nor bad
	Warning Level = "warning" // calls succeed, but something may be wrong
	Bad     Level = "bad"     // the loss of an endpoint
)

// Note adds an event and sets its numbers. If the Journal is full, the event replaces the
// oldest one.
func (j *Journal) Note(e Event) {
	e.Text = Bounded(e.Text)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	j.rev++
	e.Seq, e.Rev = j.seq, j.rev
	if len(j.events) < journalSize {
		j.events = append(j.events, e)
		return
	}
	j.events[(j.seq-1)%journalSize] = e
}

// Repeat records a repetition of the newest event with the kind and the endpoint, instead
// of a new event. It returns false if there is no such event, or if alike returns false
// for it.
func (j *Journal) Repeat(kind, endpoint string, at time.Time, alike func(Event) bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.newest(kind, endpoint)
	if e == nil || !alike(*e) {
		return false
	}
	j.rev++
	e.Rev, e.Last = j.rev, at
	e.Again++
	return true
}

// newest returns the newest event with the kind and the endpoint, or nil. j.mu is held.
func (j *Journal) newest(kind, endpoint string) *Event {
	for n := j.seq; n > j.seq-uint64(len(j.events)); n-- {
		if e := &j.events[(n-1)%journalSize]; e.Kind == kind && e.Endpoint == endpoint {
			return e
		}
	}
	return nil
}

// Since returns the events that were added or repeated after change number rev, the oldest
// first.
func (j *Journal) Since(rev uint64) []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	if rev >= j.rev {
		return nil
	}
	var out []Event
	for n := j.seq - uint64(len(j.events)); n < j.seq; n++ {
		if e := j.events[n%journalSize]; e.Rev > rev {
			out = append(out, e)
		}
	}
	return out
}

// Bounded returns s as valid UTF-8, truncated to maxText bytes.
func Bounded(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
