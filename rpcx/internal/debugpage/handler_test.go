package debugpage

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"resilientrpc/rpcx/internal/pagetest"

	"github.com/stretchr/testify/require"
)

func TestFormatsAndMethods(t *testing.T) {
	c := newFake("a:1")
	mux := http.NewServeMux()
	mux.Handle("/debug/rpcx", &Handler{Clients: map[string]Client{"a": c, "b": c}})
	mux.Handle("/deep/", http.StripPrefix("/deep/in/here", &Handler{Token: "t"}))
	for _, c := range []struct {
		method, target, accept string
		status                 int
		kind, text             string
	}{
		{"GET", "/debug/rpcx", "", 200, "text/html", "<!doctype html>"},
		{"GET", "/debug/rpcx", "text/html,application/xhtml+xml,application/json;q=0.9", 200, "text/html", "<!doctype html>"},
		{"GET", "/debug/rpcx", "application/json", 200, "application/json", `"Name": "a"`},
		{"GET", "/debug/rpcx?client=b", "application/json", 200, "application/json", `"Name": "b"`},
		{"GET", "/debug/rpcx?format=json", "text/html", 200, "application/json", `"Name": "a"`},
		{"GET", "/debug/rpcx?format=xml", "", 400, "text/plain", `there is no format "xml"; use html, json or stream`},
		{"GET", "/debug/rpcx?client=x", "", 404, "text/plain", `there is no client "x" here; there are: a, b`},
		{"GET", "/deep/in/here?client=x", "", 404, "text/plain", `there is no client "x" here; there are: none`},
		{"GET", "/deep/in/here", "", 200, "text/html", "<!doctype html>"},
		{"GET", "/deep/in/here?format=json", "", 200, "application/json", `"Clients": []`},
		{"HEAD", "/debug/rpcx", "", 200, "text/html", ""},
		{"HEAD", "/debug/rpcx?format=stream", "", 200, "text/event-stream", ""},
		{"HEAD", "/debug/rpcx", "text/event-stream", 200, "text/event-stream", ""},
		{"POST", "/debug/rpcx", "", 405, "text/plain", "this page is read-only: set DebugHandler.Token"},
		{"PUT", "/debug/rpcx", "", 405, "text/plain", "the method PUT is not allowed"},
		{"DELETE", "/deep/in/here", "", 405, "text/plain", "the method DELETE is not allowed"},
	} {
		w := pagetest.Request(mux, c.method, c.target, "", "Accept", c.accept)
		require.Equal(t, c.status, w.Code, "%s %s", c.method, c.target)
		require.True(t, strings.HasPrefix(w.Header().Get("Content-Type"), c.kind), "%s %s: %s", c.method, c.target, w.Header())
		require.Contains(t, w.Body.String(), c.text)
		switch {
		case c.status != http.StatusMethodNotAllowed:
		case strings.HasPrefix(c.target, "/deep"):
			require.Equal(t, "GET, HEAD, POST", w.Header().Get("Allow"))
		default:
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
}

func TestFiguresAreWhole(t *testing.T) {
	c := newFake("a:1", "b:1")
	c.calls, c.states["b:1"] = 7, "open"
	c.Note(Event{Kind: "breaker", Level: Bad, Endpoint: "b:1", Text: "takes no calls"})
	h := &Handler{Clients: map[string]Client{"bank": c}}
	for range 2 {
		f := pagetest.Figures[frame](t, h, "/?format=json")
		require.True(t, f.Whole)
		require.False(t, f.Controls)
		require.Len(t, f.Clients, 1)
		bank := f.Clients[0]
		require.Equal(t, "bank", bank.Name)
		require.EqualValues(t, 8, bank.PhiThreshold)
		require.EqualValues(t, 7, bank.Stats.(map[string]any)["Calls"])
		require.Equal(t, map[string]string{"a:1": "closed", "b:1": "open"}, bank.endpoints())
		require.Len(t, bank.Events, 1)
		require.Equal(t, "takes no calls", bank.Events[0].Text)
	}
	require.True(t, pagetest.Figures[frame](t, &Handler{Token: "t"}, "/?format=json").Controls)
}

// Names and addresses of others are data.
func TestTextOfOthersIsEscaped(t *testing.T) {
	const script = "<script>alert(1)</script>"
	c := newFake(script)
	c.Note(Event{Text: script + "\n\ndata: x"})
	h := &Handler{Clients: map[string]Client{script: c}}
	for _, target := range []string{"/?format=json", "/"} {
		require.NotContains(t, pagetest.Request(h, http.MethodGet, target, "").Body.String(), script)
	}
	f := pagetest.Figures[frame](t, h, "/?format=json")
	require.Equal(t, script, f.Clients[0].Name)
	require.Contains(t, f.Clients[0].endpoints(), script)
	w := pagetest.Request(h, http.MethodGet, "/?client="+url.QueryEscape("<b>"), "")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

// The page contains its one script and its one style, and a browser runs nothing else.
func TestPageIsSelfContained(t *testing.T) {
	w := pagetest.Request(&Handler{}, http.MethodGet, "/", "")
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; style-src 'sha256-")
	require.Contains(t, policy, "script-src 'sha256-")
	require.NotContains(t, policy, "unsafe")
	html := w.Body.String()
	require.NotContains(t, html, "{{")
	for _, elsewhere := range []string{"src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick="} {
		require.NotContains(t, html, elsewhere)
	}
	require.Equal(t, 1, strings.Count(html, "<script"))
	require.Equal(t, 1, strings.Count(html, "<style"))
}
