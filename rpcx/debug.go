package rpcx

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"resilientrpc/rpcx/internal/debugpage"
	"resilientrpc/rpcx/internal/errtext"
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
	// client, endpoint and action: "trip" is [Client.Trip] for the duration in the field
	// for, up to 24h, or 30s if there is none; "drain" is [Client.Drain], and "reset"
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
