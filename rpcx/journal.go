package rpcx

import (
	"errors"
	"fmt"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/debugpage"
	"resilientrpc/rpcx/internal/errtext"
)

// journal is the events of a client for [DebugHandler]. It is always kept: its events are
// rare, and none is a call's.
type journal struct{ debugpage.Journal }

// trace returns the hooks that fill the journal.
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
		return // it was closed on purpose
	case errors.As(i.Err, &convicted) && !convicted.conn:
		return // the breaker's event has it as its cause
	}
	j.Note(debugpage.Event{
		At: time.Now(), Kind: "connection", Level: debugpage.Warning, Endpoint: i.Endpoint,
		Text: "lost a connection after " + errtext.Brief(i.Duration) + ": " + errtext.Of(i.Err),
	})
}

// breakerChanged notes an outage as one event: the probes that fail are counted in it.
func (j *journal) breakerChanged(i BreakerInfo) {
	e := debugpage.Event{At: i.At, Kind: "breaker", Level: debugpage.Bad, Endpoint: i.Endpoint, State: i.To.String()}
	switch i.To {
	case breaker.HalfOpen:
		return // a probe is due; what comes of it is noted
	case breaker.Open:
		e.Text = "takes no calls: " + errtext.Outage(i.Cause)
		if convicted := (*unresponsiveError)(nil); errors.As(i.Cause, &convicted) {
			e.Phi = convicted.phi
		}
		sameKind := func(last debugpage.Event) bool { return errtext.Kind(last.Text) == errtext.Kind(e.Text) }
		if i.From == breaker.HalfOpen && j.Repeat(e.Kind, e.Endpoint, i.At, sameKind) {
			return
		}
	case breaker.ForcedOpen:
		e.Level, e.Text = debugpage.Warning, "takes no calls until it is reset: its breaker is forced open"
	case breaker.Closed:
		e.Level, e.Text = debugpage.Good, "takes calls again: its breaker is closed"
	default:
		e.Level, e.Text = debugpage.Warning, "has its breaker "+i.To.String()
	}
	j.Note(e)
}

func (j *journal) suspicion(i SuspicionInfo) {
	e := debugpage.Event{At: time.Now(), Kind: "detector", Level: debugpage.Warning, Endpoint: i.Endpoint, Phi: i.Phi}
	switch i.Verdict {
	case Trusted:
		e.Level, e.Text = debugpage.Good, "answers in time again: others are not preferred any more"
	case Suspected:
		e.Text = fmt.Sprintf("is late to answer (phi %.1f): others are preferred", i.Phi)
	case Convicted:
		return // the breaker's event has it as its cause
	case Spared:
		e.Text = fmt.Sprintf("does not respond, and is spared: silent for %s (phi %.1f), %s", errtext.Brief(i.Silence), i.Phi, whySpared(i.Fault))
	case LocalFault:
		e.Text = fmt.Sprintf("is not blamed for a silence (phi %.1f): %v, the fault is on our side", i.Phi, i.Fault)
	}
	j.Note(e)
}

// membership notes that an endpoint has come into use or gone out of use.
func (j *journal) membership(at time.Time, addr, text string) {
	j.Note(debugpage.Event{At: at, Kind: "endpoints", Level: debugpage.Info, Endpoint: addr, Text: text})
}

func whySpared(f detector.Fault) string {
	if f == detector.NoFault {
		return "without it, too few endpoints would be left"
	}
	return fmt.Sprintf("others are silent, too (%v), so the fault is more likely on this side", f)
}

func (j *journal) viewsDiffer(i ViewsInfo) {
	e := debugpage.Event{At: time.Now(), Kind: "detector", Level: debugpage.Good, Endpoint: i.Endpoint, Text: "looks the same to the detector and to the calls again"}
	switch i.Comparison {
	case detector.Agree:
	case detector.GrayFailure:
		e.Level, e.Text = debugpage.Warning, "answers pings, but its calls fail (gray failure)"
	default:
		e.Level, e.Text = debugpage.Warning, "is suspected by the detector, but its calls succeed (false alarm)"
	}
	j.Note(e)
}

func (j *journal) resolved(i ResolvedInfo) {
	e := debugpage.Event{At: time.Now(), Kind: "endpoints", Level: debugpage.Info}
	switch {
	case i.Err != nil:
		e.Level, e.Text = debugpage.Warning, fmt.Sprintf("the last set of endpoints is kept (%d): %s", i.Kept, errtext.Of(i.Err))
	case i.Added+i.Removed > 0:
		e.Text = fmt.Sprintf("endpoints resolved: %d added, %d removed, %d kept", i.Added, i.Removed, i.Kept)
	default:
		return
	}
	j.Note(e)
}
