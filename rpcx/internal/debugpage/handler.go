// Package debugpage serves the live page of clients: a table of their endpoints, what
// happened to them recently, and controls.
//
// It guarantees:
//   - A reader cannot slow a client down: nothing is kept for a slow reader, the number of
//     readers of a stream is bounded, and no goroutine is started.
//   - Text of others is only ever data: it is encoded as JSON, and the page runs no script
//     but its own.
//   - Without a token nothing can be changed.
//
// It is given plain values (see [Client]). It must not import package rpcx, nor breaker,
// detector, balancer or codec, nor anything beyond the standard library.
package debugpage

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// A Handler serves the page, the same figures as JSON and as a stream of server-sent
// events, and the controls. It may be used concurrently; its fields must not be changed
// once it serves.
type Handler struct {
	Clients map[string]Client // by name, none of them nil
	Token   string            // required for controls; empty: there are none
	Logger  *slog.Logger      // of controls and wrong tokens; nil means slog.Default()

	streams atomic.Int64 // streams in progress

	mu       sync.Mutex                                    // protects following
	closing  map[weak.Pointer[http.Server]]<-chan struct{} // closed when the server shuts down
	refused  int                                           // wrong tokens since the last one that was logged
	nextLine time.Time                                     // when the next one may be logged
}

// ServeHTTP answers a GET with the page or the figures, and carries out a POST.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Add("Vary", "Accept")
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		h.show(w, r)
	case r.Method == http.MethodPost && h.Token != "":
		h.control(w, r)
	case r.Method == http.MethodPost:
		h.disallow(w, "rpcx: this page is read-only: set DebugHandler.Token to act by POST")
	default:
		h.disallow(w, "rpcx: the method "+r.Method+" is not allowed")
	}
}

func (h *Handler) disallow(w http.ResponseWriter, text string) {
	allow := "GET, HEAD"
	if h.Token != "" {
		allow += ", POST"
	}
	w.Header().Set("Allow", allow)
	http.Error(w, text, http.StatusMethodNotAllowed)
}

// show answers a GET in the requested format.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	closing := h.shutdown(r) // also without a stream: one may follow while the server shuts down
	query := r.URL.Query()
	f, err := h.newFramer(query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	switch format := formatOf(query, r.Header.Get("Accept")); format {
	case "html":
		servePage(w)
	case "json":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		out.Encode(f.next(time.Now())) //nolint:errcheck // the reader has gone
	case "stream":
		h.stream(w, r, f, closing)
	default:
		http.Error(w, fmt.Sprintf("rpcx: there is no format %q; use html, json or stream", format), http.StatusBadRequest)
	}
}

// formatOf returns the format that the query asks for, or else the first one of the
// Accept header that there is.
func formatOf(query url.Values, accept string) string {
	if f := query.Get("format"); f != "" {
		return f
	}
	for kind := range strings.SplitSeq(accept, ",") {
		kind, _, _ = strings.Cut(kind, ";")
		switch strings.TrimSpace(kind) {
		case "text/html":
			return "html"
		case "application/json":
			return "json"
		case "text/event-stream":
			return "stream"
		}
	}
	return "html"
}

// newFramer returns a framer of the clients that the query asks for.
func (h *Handler) newFramer(query url.Values) (*framer, error) {
	f := &framer{controls: h.Token != ""}
	for _, name := range slices.Sorted(maps.Keys(h.Clients)) {
		if !query.Has("client") || query.Get("client") == name {
			f.clients = append(f.clients, &clientFramer{name: name, client: h.Clients[name]})
		}
	}
	if query.Has("client") && len(f.clients) == 0 {
		return nil, h.noClient(query.Get("client"))
	}
	return f, nil
}

func (h *Handler) noClient(name string) error {
	names := strings.Join(slices.Sorted(maps.Keys(h.Clients)), ", ")
	return fmt.Errorf("rpcx: there is no client %q here; there are: %s", name, cmp.Or(names, "none"))
}

func (h *Handler) logger() *slog.Logger {
	if h.Logger != nil {
		return h.Logger
	}
	return slog.Default()
}
