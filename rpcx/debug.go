package rpcx

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/debugpage"
	"resilientrpc/rpcx/internal/errtext"
)

// A DebugHandler shows the present state of clients, as /debug/rpc does for the servers
// of net/rpc: a row for each endpoint, with the state of its breaker and the cause, the
// failure detector's level, latencies, the share of calls, and the recent events.
//
//	http.Handle("/debug/rpcx", &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"calc": client}})
//
// GET returns a page that updates itself and loads nothing from elsewhere. With ?format=json,
// or an Accept header for JSON, the response is the figures as JSON. With ?format=stream it is
// a stream of server-sent events: the changes, twice a second, for up to 16 readers at a
// time. ?client=NAME shows only that client. In both formats, fields that are not those of
// [Stats] are the page's own and may change.
//
// The page shows addresses, metadata and the texts of errors: restrict access to it. On a
// loopback address it is served as localhost and by IP addresses only, so that web pages
// cannot read it by a name of their own (DNS rebinding). A DebugHandler starts no goroutine, never blocks a client, and buffers nothing for a slow
// reader. Streams end at http.Server.Shutdown, unless the handler gets its first request of
// that server later. The handler may be used concurrently; its fields must not be changed
// once it serves.
type DebugHandler struct {
	// Clients are the clients to show, by name. A closed client is shown as closed; a nil one
	// is left out.
	Clients map[string]*Client
	// Token, if not empty, allows changes: a POST with the header
	// "Authorization: Bearer TOKEN", or with the form field "token", and the form fields
	// "client", "endpoint" and "action". The action "trip" is [Client.Trip], for the duration
	// in the field "for", up to 24h, or for 30s; "drain" is [Client.Drain], and "reset" is
	// [Client.Reset]. Every action is logged. If Token is empty, nothing can be changed.
	Token string
	// Logger gets a line for each action, and one a minute for wrong tokens. Nil
	// means slog.Default().
	Logger *slog.Logger

	once sync.Once
	page *debugpage.Handler
}

// ServeHTTP answers with the page or the figures, or carries out an action.
func (h *DebugHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() {
		h.page = &debugpage.Handler{Clients: make(map[string]debugpage.Client), Token: h.Token, Logger: h.Logger}
		for name, c := range h.Clients {
			if c != nil {
				h.page.Clients[name] = debugClient{c}
			}
		}
	})
	h.page.ServeHTTP(w, r)
}

// debugClient is a client as the page sees it.
type debugClient struct{ client *Client }

// State implements [debugpage.Client].
func (d debugClient) State() debugpage.State {
	stats := d.client.Stats()
	endpoints := make([]debugpage.Endpoint, len(stats.Endpoints))
	for i := range endpoints {
		e := &stats.Endpoints[i]
		if e.Cause != nil {
			e.Cause = errors.New(debugpage.Bounded(errtext.Of(e.Cause)))
		}
		endpoints[i] = debugpage.Endpoint{Address: e.Address, Figures: e}
	}
	return debugpage.State{
		Closed: d.client.closed(), PhiThreshold: d.client.phiLimit, Endpoints: endpoints,
		Figures: func(endpoints []json.RawMessage) any {
			return struct {
				Stats
				Endpoints []json.RawMessage
			}{stats, endpoints}
		},
	}
}

// Events implements [debugpage.Client].
func (d debugClient) Events(rev uint64) []debugpage.Event { return d.client.journal.Since(rev) }

// Control implements [debugpage.Client].
func (d debugClient) Control(o debugpage.Order) (effect string, err error) {
	reason := "from " + o.From
	switch o.Action {
	case debugpage.Trip:
		effect, err = "was tripped by hand for "+errtext.Brief(o.For), d.client.Trip(o.Endpoint, o.For, reason)
	case debugpage.Drain:
		effect, err = "was drained by hand", d.client.Drain(o.Endpoint, reason)
	case debugpage.Reset:
		effect, err = "was reset by hand", d.client.Reset(o.Endpoint, reason)
	}
	switch {
	case errors.Is(err, ErrUnknownEndpoint):
		err = debugpage.ErrNoEndpoint
	case errors.Is(err, ErrShutdown):
		err = errors.New("rpcx: the client is closed")
	}
	return effect, err
}

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
