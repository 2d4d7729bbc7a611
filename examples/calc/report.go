package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is the result of one client's load.
type report struct {
	client string
	bound  time.Duration // beyond which a call counts as hung

	calls         int
	idemFailed    int    // idempotent calls that failed
	onceFailed    [3]int // non-idempotent ones, by fate
	hung          int
	wrong         int // replies that do not fit the question
	p50, p99, max time.Duration
	sample        error // one of the failures

	audited  bool // the servers' journals were read
	audit    audit
	routed   []lap // around each fault
	returned []lap // to each replica that came back
}

// A lap is how long something took, if it came to pass.
type lap struct {
	what string
	took time.Duration
	ok   bool
}

// broken lists what a resilient client promises and this one did not keep. That
// calls fail which are not idempotent and may have been executed is no breach:
// only the caller can decide on those.
func (r *report) broken() []string {
	var all []string
	count := func(n int, text string) {
		if n > 0 {
			all = append(all, fmt.Sprintf("%s: %d", text, n))
		}
	}
	if r.calls == 0 {
		all = append(all, "no call was made")
	}
	count(r.idemFailed, "idempotent calls failed")
	count(r.hung, fmt.Sprintf("calls that took longer than %v", r.bound))
	count(r.wrong, "wrong replies")
	count(r.audit.duplicates, "duplicate executions of deposits")
	count(r.audit.lost, "deposits reported done and never executed")
	count(r.audit.ghosts, "deposits reported not sent and yet executed")
	for _, l := range r.returned {
		if !l.ok {
			all = append(all, "never used again: "+l.what)
		}
	}
	return all
}

// verdict is an error that names what is broken, nil if nothing is.
func (r *report) verdict() error {
	broken := r.broken()
	if len(broken) == 0 {
		return nil
	}
	text := r.client + " broke its promise: " + strings.Join(broken, "; ")
	if r.sample != nil {
		text += fmt.Sprintf(" (one failure: %v)", r.sample)
	}
	return errors.New(text)
}

// writeReports prints reports side by side; they have the same laps. Two of them have room
// in columns.
func writeReports(out io.Writer, reports ...*report) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	row := func(name string, cell func(r *report) string) {
		fmt.Fprint(w, name)
		for _, r := range reports {
			fmt.Fprint(w, "\t", cell(r))
		}
		fmt.Fprintln(w)
	}
	number := func(name string, n func(r *report) int) {
		row(name, func(r *report) string { return fmt.Sprint(n(r)) })
	}
	first := reports[0]

	row("", func(r *report) string { return r.client })
	number("calls", func(r *report) int { return r.calls })
	number("failed idempotent calls", func(r *report) int { return r.idemFailed })
	number("failed deposits, surely not executed", func(r *report) int { return r.onceFailed[surelyNot] })
	number("failed deposits, perhaps executed", func(r *report) int { return r.onceFailed[maybeDone] })
	number(fmt.Sprintf("hung (over %v)", first.bound), func(r *report) int { return r.hung })
	number("wrong replies", func(r *report) int { return r.wrong })
	row("latency, p50", func(r *report) string { return brief(r.p50) })
	row("latency, p99", func(r *report) string { return brief(r.p99) })
	row("latency, max", func(r *report) string { return brief(r.max) })
	if first.audited {
		number("duplicate executions", func(r *report) int { return r.audit.duplicates })
		number("reported done, never executed", func(r *report) int { return r.audit.lost })
		number("reported not sent, yet executed", func(r *report) int { return r.audit.ghosts })
		number("executed for nobody", func(r *report) int { return r.audit.forNobody })
	}
	for i, l := range first.routed {
		row("time to route around "+l.what, func(r *report) string { return r.routed[i].String() })
	}
	for i, l := range first.returned {
		row("time to return to "+l.what, func(r *report) string { return r.returned[i].String() })
	}
	w.Flush() //nolint:errcheck // output for people: an error has no reader
}

func (l lap) String() string {
	if !l.ok {
		return "never"
	}
	return brief(l.took)
}

// brief rounds to what is worth reading.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
