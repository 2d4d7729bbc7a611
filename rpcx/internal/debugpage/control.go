package debugpage

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// maxForm is the largest POST body, in bytes.
	maxForm = 8 << 10
	// defaultTrip is the duration of a trip if the form has none, and maxTrip the
	// longest duration.
	defaultTrip = 30 * time.Second
	maxTrip     = 24 * time.Hour
	// quietFor is the least time between two log lines about wrong tokens.
	quietFor = time.Minute
)

// control executes the order of a POST with the token. The token also prevents cross-site
// request forgery: a page of another origin does not know it.
func (h *Handler) control(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "rpcx: the form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !h.hasToken(r) {
		h.logWrongToken(r.RemoteAddr)
		http.Error(w, "rpcx: the token is wrong or missing", http.StatusForbidden)
		return
	}
	name := r.PostForm.Get("client")
	client := h.Clients[name]
	if client == nil {
		http.Error(w, h.noClient(name).Error(), http.StatusNotFound)
		return
	}
	o, err := orderOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	effect, err := client.Control(o)
	switch {
	case errors.Is(err, ErrNoEndpoint):
		http.Error(w, fmt.Sprintf("rpcx: the client %q does not use an endpoint %q", name, o.Endpoint), http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	h.logger().Info("endpoint controlled by hand", "client", name, "endpoint", o.Endpoint,
		"action", string(o.Action), "remote", o.From, "effect", effect)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(map[string]string{"Endpoint": o.Endpoint, "Effect": effect}) //nolint:errcheck // the client has closed the connection
}

// hasToken reports whether the request has the token, in constant time.
func (h *Handler) hasToken(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110, 11.1
		given = r.PostForm.Get("token")
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(h.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// orderOf returns the order in a form, or an error for an invalid field.
func orderOf(r *http.Request) (o Order, err error) {
	form := r.PostForm
	o = Order{At: time.Now(), Endpoint: form.Get("endpoint"), Action: Action(form.Get("action")), For: defaultTrip, From: r.RemoteAddr}
	if s := form.Get("for"); s != "" {
		if o.For, err = time.ParseDuration(s); err != nil || o.For <= 0 || o.For > maxTrip {
			return o, fmt.Errorf(`rpcx: "for" is %q; want a duration up to 24h, such as 30s`, s)
		}
	}
	switch o.Action {
	case Trip, Drain, Reset:
		return o, nil
	}
	return o, fmt.Errorf(`rpcx: "action" is %q; want trip, reset or drain`, o.Action)
}

// logWrongToken logs a wrong token. If one was logged within quietFor, it only counts it.
func (h *Handler) logWrongToken(from string) {
	now := time.Now()
	h.mu.Lock()
	suppressed := h.wrongTokens
	if h.wrongTokens++; now.Before(h.nextLine) {
		h.mu.Unlock()
		return
	}
	h.wrongTokens, h.nextLine = 0, now.Add(quietFor)
	h.mu.Unlock()
	h.logger().Warn("a wrong token for an endpoint's controls", "remote", from, "suppressed", suppressed)
}
