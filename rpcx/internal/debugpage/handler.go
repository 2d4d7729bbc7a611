// Package debugpage serves the live page of clients: a table of their endpoints, recent
// events, and controls.
//
// It guarantees:
//   - A reader does not slow a client down: nothing is buffered for a slow reader, the
//     number of streams is limited, and no goroutine is started.
//   - Text from servers cannot become script: it is encoded as JSON, and the page runs only
//     its own script.
//   - Without a token nothing can be changed.
//
// Its input is plain values (see [Client]). It must import only the standard library.
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

// A Handler serves the page, its data as JSON and as a stream of server-sent events, and
// the controls. It may be used concurrently. Its fields must not be changed while it serves.
type Handler struct {
	Clients map[string]Client // by name; not nil
	Token   string            // required for controls; empty means that there are none
	Logger  *slog.Logger      // logs controls and wrong tokens; nil means slog.Default()

	streams atomic.Int64 // number of streams

	mu          sync.Mutex                                    // protects following
	closing     map[weak.Pointer[http.Server]]<-chan struct{} // closed when the server shuts down
	wrongTokens int                                           // number since the last one logged
	nextLine    time.Time                                     // when the next one may be logged
}

// ServeHTTP serves a GET with the page or the data, and executes the order of a POST.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Add("Vary", "Accept")
	switch {
	case isRebound(r):
		http.Error(w, "rpcx: a loopback address serves this page as localhost or by its IP address only", http.StatusForbidden)
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

// show serves a GET in the requested format.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	closing := h.shutdown(r) // for any format: a stream may begin while the server shuts down
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
		out.Encode(f.next(time.Now())) //nolint:errcheck // the client has closed the connection
	case "stream":
		h.stream(w, r, f, closing)
	default:
		http.Error(w, fmt.Sprintf("rpcx: there is no format %q; use html, json or stream", format), http.StatusBadRequest)
	}
}

// formatOf returns the format of the query or, without one, the first known format in the
// Accept header.
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

// newFramer returns a framer for the client in the query, or for all clients.
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
