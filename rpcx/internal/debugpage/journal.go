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
}

// An Event is one line of a Journal.
type Event struct {
	Seq      uint64 // from 1, without gaps; set by the Journal
	At       time.Time
	Kind     string  // breaker, detector, connection, endpoints or control
	Level    Level   // how bad it is
	Endpoint string  `json:",omitempty"`
	Text     string  // a sentence that begins with the endpoint's address
	State    string  `json:",omitempty"` // the state that a breaker has entered
	Phi      float64 `json:",omitempty"` // of a detector's event
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
	e.Seq = j.seq
	if len(j.events) < journalSize {
		j.events = append(j.events, e)
		return
	}
	j.events[(j.seq-1)%journalSize] = e
}

// Since returns the events after the one with the number seq, the oldest first.
func (j *Journal) Since(seq uint64) []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := max(seq, j.seq-uint64(len(j.events)))
	if from >= j.seq {
		return nil
	}
	out := make([]Event, 0, j.seq-from)
	for n := from; n < j.seq; n++ {
		out = append(out, j.events[n%journalSize])
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
