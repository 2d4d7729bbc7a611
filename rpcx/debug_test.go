package rpcx_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
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

// pageServer serves a handler in the fleet's network at "page:1".
func (f *fleet) pageServer(srv *http.Server, h http.Handler) *http.Client {
	srv.Handler = h
	go srv.Serve(f.Listen("page:1")) //nolint:errcheck // it ends with the server
	dial := f.DialContext
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// reader reads the frames of a stream.
type reader struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func stream(t *testing.T, c *http.Client) *reader {
	t.Helper()
	resp, err := c.Get("http://page:1/?format=stream")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	return &reader{t, resp.Body, bufio.NewReader(resp.Body)}
}

// next returns the next frame, or false if the stream is over.
func (r *reader) next() (f frame, ok bool) {
	r.t.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		return f, false
	}
	data, found := strings.CutPrefix(line, "data: ")
	require.True(r.t, found, "%q", line)
	require.NoError(r.t, json.Unmarshal([]byte(data), &f))
	line, err = r.in.ReadString('\n')
	require.NoError(r.t, err)
	require.Equal(r.t, "\n", line)
	return f, true
}

func (r *reader) must() frame {
	r.t.Helper()
	f, ok := r.next()
	require.True(r.t, ok, "the stream is over")
	return f
}

// A stream begins with everything and goes on with what is new, whatever time limits
// its server has, and ends with its reader.
func TestDebugStreamSaysWhatIsNew(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = time.Minute // a ping is news
		c := f.dial()
		defer c.Close()
		srv := &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Second}
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}
		page := f.pageServer(srv, h)
		defer srv.Close()
		time.Sleep(time.Second)
		r := stream(t, page)
		first := r.must()
		require.True(t, first.Whole)
		require.Len(t, first.Clients[0].Stats.Endpoints, 3)
		start := time.Now()
		for range 20 {
			still := r.must()
			require.False(t, still.Whole)
			require.Empty(t, still.Clients[0].Stats.Endpoints, "nothing has changed")
			require.Empty(t, still.Clients[0].Events)
		}
		require.InDelta(t, 10, time.Since(start).Seconds(), 0.1, "two a second")
		f.kill("b:1")
		var seen frame
		for !seen.has("b:1 takes no calls for") {
			seen = r.must()
		}
		open := 0
		for _, e := range seen.Clients[0].Stats.Endpoints {
			if e.Address == "b:1" && e.State == "open" {
				open++
			}
		}
		require.Equal(t, 1, open, "%v", seen.Clients[0].Stats.Endpoints)
		require.NoError(t, c.Close())
		for !seen.Clients[0].Closed {
			seen = r.must()
		}
		require.NoError(t, r.body.Close())
		time.Sleep(time.Second)
		require.Zero(t, h.Streams())
	})
}

// Endpoints that leave are gone from the frames, and others are there.
func TestDebugStreamFollowsTheSet(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c, sets := f.resolve("a:1", "b:1")
		defer c.Close()
		srv := new(http.Server)
		r := stream(t, f.pageServer(srv, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}))
		defer srv.Close()
		defer r.body.Close()
		require.True(t, r.must().has("endpoints resolved: 2 added, 0 removed, 0 kept"))
		sets.say("c:1", "b:1")
		now := r.must()
		for len(now.Clients[0].Gone) == 0 {
			now = r.must()
		}
		require.Equal(t, []string{"a:1"}, now.Clients[0].Gone)
		require.Empty(t, r.must().Clients[0].Gone, "once")
		require.True(t, now.has("endpoints resolved: 1 added, 1 removed, 1 kept"), "%q", now.texts())
		require.True(t, now.has("c:1 is in use now"), "%q", now.texts())
		require.Equal(t, "c:1", now.Clients[0].Stats.Endpoints[0].Address)
	})
}

// A reader that does not read is given up, and there is room for so many only.
func TestDebugStreamsAreBounded(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		name := strings.Repeat("bank", 10_000) // for large frames
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{name: c}}
		srv := new(http.Server)
		page := f.pageServer(srv, h)
		defer srv.Close()
		var readers []*reader
		for range 16 {
			readers = append(readers, stream(t, page))
		}
		w := get(h, "/?format=stream")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "5", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), "too many readers of the stream already")
		require.EqualValues(t, 16, h.Streams())
		time.Sleep(5 * time.Minute) // nobody reads: what the network holds is full
		require.Zero(t, h.Streams(), "those who do not read were given up")
		for _, r := range readers {
			require.NoError(t, r.body.Close())
		}
	})
}

// http.Server.Shutdown waits for all requests, and a stream has no end of its own.
func TestDebugStreamEndsWithItsServer(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		srv := new(http.Server)
		page := f.pageServer(srv, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}})
		r := stream(t, page)
		r.must()
		start := time.Now()
		require.NoError(t, srv.Shutdown(t.Context()))
		require.NoError(t, srv.Shutdown(t.Context()), "once more")
		require.Less(t, time.Since(start), 2*time.Second)
		for ok := true; ok; _, ok = r.next() {
			require.Less(t, time.Since(start), 2*time.Second)
		}
		page.CloseIdleConnections()
	})
}

// post sends a form to the page.
func post(h http.Handler, token string, fields ...string) *httptest.ResponseRecorder {
	form := make(url.Values)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	return request(h, http.MethodPost, "/debug/rpcx", form.Encode(), header...)
}

// With a token, endpoints can be tripped, drained and reset, and all of it is told.
func TestDebugControls(t *testing.T) {
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		c := f.dial()
		defer c.Close()
		h := &rpcx.DebugHandler{
			Clients: map[string]*rpcx.Client{"bank": c}, Token: "sesame",
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}
		time.Sleep(20 * time.Second)
		require.True(t, figures(t, h, "/?format=json").Controls)

		w := post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "drain")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.JSONEq(t, `{"Endpoint":"a:1","Effect":"was drained by hand"}`, w.Body.String())
		require.Equal(t, breaker.ForcedOpen, c.Stats().Endpoints[0].State)
		require.Zero(t, where(t, c, 50)["a:1"])
		time.Sleep(5 * time.Minute)
		require.Zero(t, where(t, c, 50)["a:1"], "it stays so")
		require.Len(t, log.with("action=drain"), 1)
		require.Contains(t, log.with("action=drain")[0], "client=bank endpoint=a:1 action=drain remote=192.0.2.1:1234")

		w = post(h, "", "token", "sesame", "client", "bank", "endpoint", "a:1", "action", "reset")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
		time.Sleep(20 * time.Second)
		require.NotZero(t, where(t, c, 50)["a:1"])

		w = post(h, "sesame", "client", "bank", "endpoint", "b:1", "action", "trip", "for", "5m")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.ErrorContains(t, c.Stats().Endpoints[1].Cause, "tripped by hand from 192.0.2.1:1234")
		time.Sleep(4 * time.Minute)
		require.Equal(t, breaker.Open, c.Stats().Endpoints[1].State)
		time.Sleep(2 * time.Minute)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[1].State, "a ping was answered")
		now := figures(t, h, "/?format=json")
		require.True(t, now.has("a:1 was drained by hand, from 192.0.2.1:1234"), "%q", now.texts())
		require.True(t, now.has("b:1 takes no calls for 5m0s: tripped by hand from 192.0.2.1:1234"), "%q", now.texts())
	})
}

// What is wrong with an order is said, and nothing is done.
func TestDebugControlsRefuse(t *testing.T) {
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var log lines
		c := f.dial()
		defer c.Close()
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		single := rpcx.NewClient(conn)
		defer single.Close()
		over := f.dial()
		require.NoError(t, over.Close())
		h := &rpcx.DebugHandler{
			Clients: map[string]*rpcx.Client{"bank": c, "single": single, "over": over}, Token: "sesame",
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}
		for _, c := range []struct {
			token  string
			fields []string
			status int
			text   string
		}{
			{"", nil, 403, "the token is wrong or missing"},
			{"Sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip"}, 403, "the token is wrong or missing"},
			{"", []string{"token", "sesam", "client", "bank", "endpoint", "a:1", "action", "trip"}, 403, "the token is wrong or missing"},
			{"sesame", []string{"client", "money", "endpoint", "a:1", "action", "trip"}, 404, `no client "money" here; there are: bank`},
			{"sesame", []string{"client", "bank", "endpoint", "x:1", "action", "trip"}, 404, `does not use an endpoint "x:1"`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "kill"}, 400, `want trip, reset or drain`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip", "for", "soon"}, 400, `want a duration up to 24h`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip", "for", "-1s"}, 400, `want a duration up to 24h`},
			{"sesame", []string{"client", "single", "endpoint", "", "action", "reset"}, 409, `has no breaker`},
			{"sesame", []string{"client", "over", "endpoint", "a:1", "action", "trip"}, 409, `is closed`},
			{"sesame", []string{"client", "bank", "x", strings.Repeat("x", 10_000)}, 400, `the form cannot be read`},
		} {
			w := post(h, c.token, c.fields...)
			require.Equal(t, c.status, w.Code, "%q: %s", c.fields, w.Body)
			require.Contains(t, w.Body.String(), c.text)
		}
		require.Equal(t, http.StatusForbidden, request(h, http.MethodPost, "/?token=sesame&client=bank&endpoint=a:1&action=trip", "").Code,
			"an address ends up in logs: no token is taken from it")
		for _, e := range c.Stats().Endpoints {
			require.Equal(t, breaker.Closed, e.State)
		}
		require.Len(t, log.with("wrong token"), 1, "guesses do not flood the log")
		time.Sleep(2 * time.Minute)
		post(h, "guess")
		require.Len(t, log.with("wrong token"), 2)
		require.Contains(t, log.with("wrong token")[1], "suppressed=3")
		require.Empty(t, log.with("sesam"), "no token is logged, not even a wrong one")

		require.Equal(t, http.StatusOK, post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "trip", "for", "1h").Code)
		require.Equal(t, http.StatusConflict, post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "trip").Code, "a trip does not shorten another")
		require.Equal(t, http.StatusOK, post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "drain").Code)
		require.Equal(t, http.StatusConflict, post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "trip").Code, "it is drained")
	})
}
