package rpcx

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
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

// A DebugHandler shows clients as they are at the moment, what /debug/rpc is to the
// servers of net/rpc: a row for each endpoint, with the state of its breaker and why,
// the failure detector's level, latencies, the share of calls, and what happened of
// late.
//
//	http.Handle("/debug/rpcx", &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"calc": client}})
//
// GET answers with a page that follows the clients by itself and needs nothing from
// elsewhere. The same address has the figures as JSON with ?format=json or an Accept
// header that asks for it, and as server-sent events, twice a second what has changed,
// with ?format=stream, for 16 readers at a time. ?client=NAME shows only that client. In
// both, what stands beside the fields of [Stats] is the page's own, and may change.
//
// It shows addresses, metadata and the texts of errors to whoever can reach it: let that not be
// everybody. It starts no goroutine, holds up no client, keeps nothing for a reader
// that is slow, and does not keep http.Server.Shutdown waiting, unless it hears of the
// server only then: by a stream that is the first GET to come from it. It may be used
// concurrently; its fields must not be changed once it serves.
type DebugHandler struct {
	// Clients are those that are shown, by the names they are to have on the page.
	// One that is closed stays and is shown as closed; a nil one is left out.
	Clients map[string]*Client
	// Token, if not empty, lets those who know it act: a POST with the header
	// "Authorization: Bearer TOKEN", or with the form field token, and the fields
	// client, endpoint and action: "trip" is Client.Trip for the time of the field for,
	// up to 24h, or 30s if there is none; "drain" is Client.Drain, and "reset"
	// Client.Reset. All of it is logged. If it is empty, nothing can be changed.
	Token string
	// Logger gets a line for each action, and one a minute for wrong tokens. Nil
	// means slog.Default().
	Logger *slog.Logger

	streams atomic.Int64 // under way

	mu       sync.Mutex                                    // protects following
	closing  map[weak.Pointer[http.Server]]<-chan struct{} // closed when the server shuts down
	refused  int                                           // wrong tokens since the last line of the log
	nextLine time.Time                                     // when the next one may be logged
}

// ServeHTTP answers with the page, with the figures, or to an action.
func (h *DebugHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Add("Vary", "Accept")
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		h.show(w, r)
	case r.Method == http.MethodPost && h.Token != "":
		h.act(w, r)
	case r.Method == http.MethodPost:
		h.disallow(w, "rpcx: this page is read-only: set DebugHandler.Token to act by POST")
	default:
		h.disallow(w, "rpcx: the method "+r.Method+" is not allowed")
	}
}

func (h *DebugHandler) disallow(w http.ResponseWriter, text string) {
	allow := "GET, HEAD"
	if h.Token != "" {
		allow += ", POST"
	}
	w.Header().Set("Allow", allow)
	http.Error(w, text, http.StatusMethodNotAllowed)
}

// show answers a GET in the format that was asked for.
func (h *DebugHandler) show(w http.ResponseWriter, r *http.Request) {
	closing := h.shutdown(r) // also if it is no stream: one may come while the server shuts down
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

// formatOf returns what the query asks for, or else the first that the Accept header
// names of what there is.
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
func (h *DebugHandler) newFramer(query url.Values) (*framer, error) {
	f := &framer{controls: h.Token != ""}
	names := slices.Sorted(maps.Keys(h.Clients))
	for _, name := range names {
		if c := h.Clients[name]; c != nil && (!query.Has("client") || query.Get("client") == name) {
			f.clients = append(f.clients, &framed{name: name, client: c})
		}
	}
	if query.Has("client") && len(f.clients) == 0 {
		return nil, noClient(query.Get("client"), names)
	}
	return f, nil
}

func noClient(name string, names []string) error {
	return fmt.Errorf("rpcx: there is no client %q here; there are: %s", name, cmp.Or(strings.Join(names, ", "), "none"))
}

//go:embed debug/*.html debug/*.css debug/*.js
var pageFiles embed.FS

// page is the page in one piece, and the policy by which a browser runs nothing but
// its one script. It holds nothing of any client: the script fetches that.
var page = sync.OnceValues(func() (html, policy string) {
	style := pageFile("page.css")
	script := pageFile("chart.js") + pageFile("model.js") + pageFile("rows.js") + pageFile("panel.js") + pageFile("page.js")
	html = strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(pageFile("page.html"))
	policy = "default-src 'none'; style-src " + hashOf(style) + "; script-src " + hashOf(script) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
	return html, policy
})

func pageFile(name string) string {
	text, err := pageFiles.ReadFile("debug/" + name)
	if err != nil {
		panic(err) // out of reach: it is in the program
	}
	return string(text)
}

// hashOf is how a content security policy names what is written in a page.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func servePage(w http.ResponseWriter) {
	html, policy := page()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Write([]byte(html)) //nolint:errcheck // the reader has gone
}
