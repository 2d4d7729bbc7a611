// Package errtext has the texts of errors, and what they have in common, for errors that quote
// others, for the log and for the live page.
//
// The error may be a user's: whatever its Error method does, no function panics. The package
// holds no state, and imports nothing but the standard library.
package errtext

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Of returns an error's text. The error may be a user's and its Error method may
// panic, which fmt turns into text.
func Of(err error) string { return fmt.Sprintf("%v", err) }

// Bare is the text of an error without the name of package rpcx before it, for a
// text that begins with that.
func Bare(err error) string { return strings.TrimPrefix(Of(err), "rpcx: ") }

// Brief rounds a duration for a text.
func Brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// figures are what differs between the texts of errors of one kind: ports, times, counts,
// and whether the detector's level is among them.
var figures = regexp.MustCompile(`([0-9][0-9.]*(ns|µs|ms|s|m|h)?(, phi )?)+`)

// Kind returns what the texts of errors of one kind have in common, so that an error
// of another kind can be told from a repetition.
func Kind(text string) string { return figures.ReplaceAllLiteralString(text, "#") }

// reopened is the text of a breaker that a probe has opened again.
var reopened = regexp.MustCompile(`(?s)^the probe (?:failed|was slow)(?:, last: (.*))? \(first opened: (.*)\)$`)

// Outage is the last known reason why an endpoint is down: of the probe that failed
// last, or else of the first opening of its breaker.
func Outage(cause error) string {
	text := Of(cause)
	if parts := reopened.FindStringSubmatch(text); parts != nil {
		return cmp.Or(parts[1], parts[2])
	}
	return text
}
