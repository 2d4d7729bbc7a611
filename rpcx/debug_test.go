package rpcx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// frame is what the page reads.
type frame struct {
	Whole, Controls bool
	Clients         []struct {
		Name         string
		Closed       bool
		PhiThreshold float64
		Stats        struct {
			Calls     uint64
			Endpoints []struct {
				Address, State, Cause string
				Picks                 uint64
			}
		}
		Gone   []string
		Missed int
		Events []struct {
			Seq                                int
			Kind, Level, Endpoint, Text, State string
			Phi                                float64
		}
	}
}

// get asks a handler without a network.
func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	return request(h, http.MethodGet, target, "", header...)
}

func request(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func figures(t *testing.T, h http.Handler, target string) (f frame) {
	t.Helper()
	w := get(h, target)
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &f))
	return f
}

// texts returns what the events say, each with its endpoint.
func (f frame) texts() (out []string) {
	for _, c := range f.Clients {
		for _, e := range c.Events {
			out = append(out, strings.TrimSpace(e.Endpoint+" "+e.Text))
		}
	}
	return out
}

// has reports whether an event says all of these.
func (f frame) has(parts ...string) bool {
event:
	for _, text := range f.texts() {
		for _, p := range parts {
			if !strings.Contains(text, p) {
				continue event
			}
		}
		return true
	}
	return false
}

// A frozen replica and a killed one, and both back again, as the figures have it.
func TestDebugFiguresTellWhatHappened(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}
		time.Sleep(2 * time.Second) // it is known that they answer pings
		where(t, c, 10)
		was := figures(t, h, "/debug/rpcx?format=json")
		require.True(t, was.Whole)
		require.False(t, was.Controls)
		require.Equal(t, "bank", was.Clients[0].Name)
		require.EqualValues(t, 10, was.Clients[0].Stats.Calls)
		require.EqualValues(t, 8, was.Clients[0].PhiThreshold)
		require.Len(t, was.Clients[0].Stats.Endpoints, 3)
		require.Empty(t, was.Clients[0].Events)

		f.Stall("a:1")
		time.Sleep(20 * time.Second)
		f.kill("b:1")
		time.Sleep(time.Second)
		now := figures(t, h, "/debug/rpcx?format=json")
		require.Contains(t, now.Clients[0].Stats.Endpoints[0].Cause, "a:1 does not respond: silent for")
		require.NotEqual(t, "closed", now.Clients[0].Stats.Endpoints[1].State)
		require.True(t, now.has("a:1 is late to answer (phi 1."), "%q", now.texts())
		require.True(t, now.has("a:1 does not respond: silent for", "(phi 8"), "%q", now.texts())
		require.True(t, now.has("a:1 takes no calls for", "a:1 does not respond"), "%q", now.texts())
		require.False(t, now.has("a:1 lost a connection"), "it goes without saying: %q", now.texts())
		require.True(t, now.has("b:1 lost a connection after 2"), "%q", now.texts())
		require.True(t, now.has("b:1 takes no calls for", "refused"), "%q", now.texts())

		f.Resume("a:1")
		f.Resume("b:1")
		time.Sleep(time.Minute)
		then := figures(t, h, "/debug/rpcx?format=json")
		require.True(t, then.has("a:1 takes calls again"), "%q", then.texts())
		require.True(t, then.has("b:1 takes calls again"), "%q", then.texts())

		require.NoError(t, c.Close())
		last := figures(t, h, "/debug/rpcx?format=json")
		require.True(t, last.Clients[0].Closed)
		require.Equal(t, len(then.texts()), len(last.texts()), "that the client was closed is nothing that happened to it")
	})
}

// However much happens, the last of it is kept and no more.
func TestDebugJournalIsBounded(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker = breaker.Config{OpenFor: time.Second, MaxOpenFor: time.Second}
		c := f.dial()
		defer c.Close()
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}
		f.kill("a:1")
		time.Sleep(10 * time.Minute)
		events := figures(t, h, "/?format=json").Clients[0]
		require.Len(t, events.Events, 256)
		require.Greater(t, events.Missed, 256)
		for i, e := range events.Events {
			require.Equal(t, events.Missed+1+i, e.Seq)
		}
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		now := figures(t, h, "/?format=json").Clients[0]
		require.Len(t, now.Events, 256)
		require.Contains(t, now.Events[255].Text, "takes calls again")
	})
}

// What comes from the wire is text, and not much of it.
func TestDebugEscapesWhatOthersSay(t *testing.T) {
	const script = "<script>alert(1)</script>"
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		dial := f.dialer.NetDial
		dead := false
		f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dead {
				return nil, fmt.Errorf("%s\xff\n\ndata: %s", script, strings.Repeat("x", 10_000))
			}
			return dial(ctx, network, address)
		}
		c := f.dial()
		defer c.Close()
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{script: c}}
		dead = true
		f.kill("a:1")
		time.Sleep(3 * time.Second) // until it is dialed again
		for _, target := range []string{"/?format=json", "/"} {
			w := get(h, target)
			require.NotContains(t, w.Body.String(), script)
			require.Less(t, w.Body.Len(), 100_000)
		}
		now := figures(t, h, "/?format=json")
		require.Equal(t, script, now.Clients[0].Name)
		require.Contains(t, now.Clients[0].Stats.Endpoints[0].Cause, script)
		require.Less(t, len(now.Clients[0].Stats.Endpoints[0].Cause), 500)
		require.True(t, now.has(script, "\uFFFD", "…"), "%q", now.texts())
		w := get(h, "/?client="+url.QueryEscape("<b>"))
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	})
}

func TestDebugFormatsAndMethods(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		mux := http.NewServeMux()
		mux.Handle("/debug/rpcx", &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"a": c, "b": c, "nil": nil}})
		mux.Handle("/deep/", http.StripPrefix("/deep/in/here", &rpcx.DebugHandler{Token: "t"}))
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
			{"GET", "/debug/rpcx?client=nil", "", 404, "text/plain", `there is no client "nil"`},
			{"GET", "/deep/in/here", "", 200, "text/html", "<!doctype html>"},
			{"GET", "/deep/in/here?format=json", "", 200, "application/json", `"Clients": []`},
			{"HEAD", "/debug/rpcx", "", 200, "text/html", ""},
			{"HEAD", "/debug/rpcx?format=stream", "", 200, "text/event-stream", ""},
			{"POST", "/debug/rpcx", "", 405, "text/plain", "this page is read-only: set DebugHandler.Token"},
			{"PUT", "/debug/rpcx", "", 405, "text/plain", "the method PUT is not allowed"},
			{"DELETE", "/deep/in/here", "", 405, "text/plain", "the method DELETE is not allowed"},
		} {
			w := request(mux, c.method, c.target, "", "Accept", c.accept)
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
	})
}

// The page has its one script and its one style in itself, and a browser is told to
// run nothing else.
func TestDebugPageIsWhole(t *testing.T) {
	w := get(&rpcx.DebugHandler{}, "/")
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
