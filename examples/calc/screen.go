package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A screen shows what happens while the load runs: a story, and once a second
// the state of things. On a terminal the state is redrawn in place beneath the
// story; elsewhere it is one more line of it. One goroutine, started by start
// and ended by stop, does all the writing.
type screen struct {
	out   io.Writer
	live  bool          // redraw in place
	view  func() status // set before start
	began time.Time

	story chan string
	quit  chan struct{} // closed by stop
	done  chan struct{} // closed when the goroutine has ended

	// The goroutine's own:
	last  []string // the table
	drawn int      // lines of it that are on the terminal
}

// A status is the state of things in both forms.
type status struct {
	line  string
	table []string
}

func newScreen(out io.Writer) *screen {
	return &screen{
		out: out, live: isTerminal(out), began: time.Now(),
		story: make(chan string, 64), quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// isTerminal guesses whether out is a terminal that knows escape sequences.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	term := os.Getenv("TERM")
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && term != "" && term != "dumb"
}

func (s *screen) start() { go s.run() }

// stop shows what is still to be said and waits for the goroutine.
func (s *screen) stop() {
	close(s.quit)
	<-s.done
}

// say adds a line to the story, stamped with the time.
func (s *screen) say(format string, args ...any) {
	select {
	case s.story <- s.stamped(format, args...):
	case <-s.done:
	}
}

// whisper is say for callers that must not wait: if the output does not keep up, the
// line is dropped.
func (s *screen) whisper(format string, args ...any) {
	select {
	case s.story <- s.stamped(format, args...):
	default:
	}
}

func (s *screen) stamped(format string, args ...any) string {
	return wrap(fmt.Sprintf("%5.1f s  ", time.Since(s.began).Seconds()), fmt.Sprintf(format, args...))
}

func (s *screen) run() {
	defer close(s.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line := <-s.story:
			s.print(line)
		case <-tick.C:
			s.show(s.view())
		case <-s.quit:
			s.drain()
			return
		}
	}
}

func (s *screen) drain() {
	for {
		select {
		case line := <-s.story:
			s.print(line)
		default:
			return
		}
	}
}

func (s *screen) show(now status) {
	if s.live {
		s.last = now.table
		s.redraw("")
	} else {
		s.redraw(now.line + "\n")
	}
}

func (s *screen) print(line string) { s.redraw(line + "\n") }

// redraw writes text where the table stood, and the table beneath it, in one
// piece so that it does not flicker.
func (s *screen) redraw(text string) {
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.drawn) // up to its first line, and clear from there
	}
	b.WriteString(text)
	for _, line := range s.last {
		b.WriteString(clip(line) + "\n") // a line that the terminal breaks would be two
	}
	s.drawn = len(s.last)
	io.WriteString(s.out, b.String()) //nolint:errcheck // output for people: an error has no reader
}
