package debugpage

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// journalSize is how many events a Journal holds: an hour with many failures, in
	// less memory than one connection takes.
	journalSize = 256
	// maxText bounds the text of an event or a cause, in bytes. Such texts may come from
	// a server.
	maxText = 400
)

// A Journal keeps the last events of a client, in plain words, for a reader that comes
// afterwards. The zero value is empty. It is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex // protects following
	events []Event    // a ring once it is full
	seq    uint64     // of the newest event
	rev    uint64     // of the latest change
}

// An Event is one line of a Journal.
type Event struct {
	Seq      uint64 // from 1, without gaps; set by the Journal
	Rev      uint64 // numbers the changes of a Journal's events, from 1; this event's last one
	At       time.Time
	Kind     string  // breaker, detector, connection, endpoints or control
	Level    Level   // how bad it is
	Endpoint string  `json:",omitempty"`
	Text     string  // a sentence that begins with the endpoint's address
	State    string  `json:",omitempty"` // the state that a breaker has entered
	Phi      float64 `json:",omitempty"` // of a detector's event

	Again int       `json:",omitempty"` // how often it was repeated: see Journal.Repeat
	Last  time.Time `json:",omitzero"`  // when it was repeated last
}

// Level is how bad an Event is.
type Level string

const (
	Good    Level = "good"    // something is in order again
	Info    Level = "info"    // a change that is neither good nor bad
	Warning Level = "warning" // calls succeed, but something may be wrong
	Bad     Level = "bad"     // an endpoint is lost
)

// Note adds an event, in the place of the oldest one if there are too many, and numbers
// it.
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

// Repeat counts a repetition of the newest event of the kind and the endpoint, in place of
// one more event. It reports false if there is no such event any more, or it is not alike.
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

// newest returns the newest event of the kind and the endpoint, or nil. j.mu is held.
func (j *Journal) newest(kind, endpoint string) *Event {
	for n := j.seq; n > j.seq-uint64(len(j.events)); n-- {
		if e := &j.events[(n-1)%journalSize]; e.Kind == kind && e.Endpoint == endpoint {
			return e
		}
	}
	return nil
}

// Since returns the events that were added or repeated after the change with the number
// rev, the oldest first.
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

// Bounded returns s as valid UTF-8, cut to some hundred bytes.
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
