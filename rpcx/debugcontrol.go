package rpcx

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// maxForm bounds what is read of a POST.
	maxForm = 8 << 10
	// tripFor is how long an endpoint is tripped by hand if nothing is said, and
	// maxTrip how long at most.
	tripFor = 30 * time.Second
	maxTrip = 24 * time.Hour
)

// An order is what somebody wants done to an endpoint.
type order struct {
	client   *Client
	name     string // the client's
	endpoint string
	action   string
	hold     time.Duration // of a trip
	from     string        // whose order it is
}

// act does what a POST orders, if it brings the token. No page of another origin
// knows that, so none can have a browser send it.
func (h *DebugHandler) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "rpcx: the form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !h.knows(r) {
		h.logRefusal(r.RemoteAddr)
		http.Error(w, "rpcx: the token is wrong or missing", http.StatusForbidden)
		return
	}
	o, status, err := h.read(r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	text, err := o.run()
	switch {
	case errors.Is(err, ErrUnknownEndpoint):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	h.logger().Info("endpoint controlled by hand", "client", o.name, "endpoint", o.endpoint,
		"action", o.action, "remote", o.from, "effect", text)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(map[string]string{"Endpoint": o.endpoint, "Effect": text}) //nolint:errcheck // the reader has gone
}

// knows reports whether the request brings the token. How long that takes says
// nothing of it.
func (h *DebugHandler) knows(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110, 11.1
		given = r.PostForm.Get("token")
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(h.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// read makes an order of a form, or says what is wrong with it.
func (h *DebugHandler) read(r *http.Request) (o order, status int, err error) {
	form := r.PostForm
	o = order{name: form.Get("client"), endpoint: form.Get("endpoint"), action: form.Get("action"), hold: tripFor, from: r.RemoteAddr}
	if o.client = h.Clients[o.name]; o.client == nil {
		return o, http.StatusNotFound, noClient(o.name, slices.Sorted(maps.Keys(h.Clients)))
	}
	if s := form.Get("for"); s != "" {
		if o.hold, err = time.ParseDuration(s); err != nil || o.hold <= 0 || o.hold > maxTrip {
			return o, http.StatusBadRequest, fmt.Errorf(`rpcx: "for" is %q; want a duration up to 24h, such as 30s`, s)
		}
	}
	switch o.action {
	case "trip", "reset", "drain":
		return o, 0, nil
	}
	return o, http.StatusBadRequest, fmt.Errorf(`rpcx: "action" is %q; want trip, reset or drain`, o.action)
}

// run carries out an order and says what came of it.
func (o *order) run() (text string, err error) {
	reason := "from " + o.from
	switch o.action {
	case "trip":
		text, err = "was tripped by hand for "+brief(o.hold), o.client.Trip(o.endpoint, o.hold, reason)
	case "drain":
		text, err = "was drained by hand", o.client.Drain(o.endpoint, reason)
	case "reset":
		text, err = "was reset by hand", o.client.Reset(o.endpoint, reason)
	}
	if errors.Is(err, ErrShutdown) {
		err = fmt.Errorf("rpcx: the client %q is closed", o.name)
	}
	return text, err
}

func (h *DebugHandler) logger() *slog.Logger {
	if h.Logger != nil {
		return h.Logger
	}
	return slog.Default()
}

// logRefusal logs a wrong token, and counts more of them for a minute.
func (h *DebugHandler) logRefusal(from string) {
	now := time.Now()
	h.mu.Lock()
	held := h.refused
	if h.refused++; now.Before(h.nextLine) {
		h.mu.Unlock()
		return
	}
	h.refused, h.nextLine = 0, now.Add(quietFor)
	h.mu.Unlock()
	h.logger().Warn("a wrong token for an endpoint's controls", "remote", from, "suppressed", held)
}
