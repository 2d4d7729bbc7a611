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
	"resilientrpc/rpcx/internal/debugpage"
)

// A DebugHandler shows the present state of clients, as /debug/rpc does for the servers
// of net/rpc: a row for each endpoint, with the state of its breaker and the cause, the
// failure detector's level, latencies, the share of calls, and the recent events.
//
//	http.Handle("/debug/rpcx", &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"calc": client}})
//
// GET answers with a page that updates itself and loads nothing from elsewhere. The same
// address has the figures as JSON with ?format=json or an Accept header that asks for it,
// and as server-sent events with ?format=stream: twice a second what has changed, for up
// to 16 readers at a time. ?client=NAME shows only that client. In both, fields that are
// not those of [Stats] are the page's own, and may change.
//
// It shows addresses, metadata and the texts of errors: restrict access to it. It starts
// no goroutine, never blocks a client, keeps nothing for a slow reader, and does not delay
// http.Server.Shutdown, except by a stream that is the first GET from its server. It may
// be used concurrently; its fields must not be changed once it serves.
type DebugHandler struct {
	// Clients are the clients to show, by the names to show them under. A closed one
	// stays and is shown as closed; a nil one is left out.
	Clients map[string]*Client
	// Token, if not empty, allows changes to those who know it: a POST with the header
	// "Authorization: Bearer TOKEN", or with the form field token, and the fields
	// client, endpoint and action. The action "trip" opens an endpoint's breaker for
	// the duration in the field for, up to 24h, or 30s if there is none; "drain" lets
	// the endpoint's calls end and admits no others, until "reset", which undoes both.
	// Every action is logged. If Token is empty, nothing can be changed.
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
			e.Cause = errors.New(debugpage.Bounded(words(e.Cause)))
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
func (d debugClient) Events(seq uint64) []debugpage.Event { return d.client.journal.Since(seq) }

// Control implements [debugpage.Client].
func (d debugClient) Control(o debugpage.Order) (effect string, err error) {
	b := d.breaker(o.Endpoint)
	if b == nil {
		return "", debugpage.ErrNoEndpoint
	}
	switch s := b.Stats(o.At); {
	case d.client.closed():
		return "", errors.New("rpcx: the client is closed")
	case s.State == breaker.Disabled:
		return "", fmt.Errorf("rpcx: %s has no breaker that could be opened or closed", o.Endpoint)
	case o.Action == debugpage.Trip && s.State == breaker.ForcedOpen:
		return "", fmt.Errorf("rpcx: %s is drained and takes no calls already; reset it first", o.Endpoint)
	case o.Action == debugpage.Trip && s.State == breaker.Open && s.RetryAfter >= o.For:
		return "", fmt.Errorf("rpcx: %s takes no calls for %s already; trip it for longer", o.Endpoint, brief(s.RetryAfter))
	}
	switch o.Action {
	case debugpage.Trip:
		effect = "was tripped by hand for " + brief(o.For)
	case debugpage.Drain:
		effect = "was drained by hand"
	case debugpage.Reset:
		effect = "was reset by hand"
	}
	// The order is noted before the breaker's event that it causes.
	d.client.journal.Note(debugpage.Event{
		At: o.At, Kind: "control", Level: debugpage.Warning, Endpoint: o.Endpoint, Text: effect + ", from " + o.From,
	})
	switch o.Action {
	case debugpage.Trip:
		b.Trip(o.At, o.For, fmt.Errorf("tripped by hand from %s", o.From))
	case debugpage.Drain:
		b.ForceOpen(o.At)
	case debugpage.Reset:
		b.Reset(o.At)
	}
	return effect, nil
}

// breaker returns the breaker of the endpoint in use at an address, nil if there is none.
func (d debugClient) breaker(addr string) (b *breaker.Breaker) {
	for _, e := range d.client.endpoints() {
		if e.addr == addr {
			b = e.breaker
		}
	}
	return b
}

// brief rounds a duration for a text.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
