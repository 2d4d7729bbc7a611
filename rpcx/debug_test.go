package rpcx_test

import (
	"context"
	"fmt"
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
	"resilientrpc/rpcx/internal/pagetest"
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
			Seq, Again                         int
			Kind, Level, Endpoint, Text, State string
			Phi                                float64
			At, Last                           time.Time
		}
	}
}

// get sends a GET without a network.
func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	return pagetest.Request(h, http.MethodGet, target, "", header...)
}

// figures reads the frame that a handler gives as JSON.
func figures(t *testing.T, h http.Handler, target string) frame {
	t.Helper()
	return pagetest.Figures[frame](t, h, target)
}

// texts returns the events' texts, each with its endpoint.
func (f frame) texts() (out []string) {
	for _, c := range f.Clients {
		for _, e := range c.Events {
			out = append(out, strings.TrimSpace(e.Endpoint+" "+e.Text))
		}
	}
	return out
}

// has reports whether an event's text has all of these parts.
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

// The figures show a frozen replica and a killed one, and the return of both.
func TestDebugFiguresTellWhatHappened(t *testing.T) {
	t.Parallel()
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
		require.Contains(t, now.Clients[0].Stats.Endpoints[0].Cause, "peer does not respond: silent for")
		require.NotEqual(t, "closed", now.Clients[0].Stats.Endpoints[1].State)
		require.True(t, now.has("a:1 is late to answer (phi 1."), "%q", now.texts())
		require.True(t, now.has("a:1 takes no calls: ", "peer does not respond: silent for", "phi 8"), "%q", now.texts())
		require.False(t, now.has("a:1 lost a connection"), "the conviction is the event: %q", now.texts())
		require.True(t, now.has("b:1 lost a connection after 2"), "%q", now.texts())
		require.True(t, now.has("b:1 takes no calls: ", "refused"), "%q", now.texts())

		time.Sleep(10 * time.Minute)
		later := figures(t, h, "/debug/rpcx?format=json")
		require.Equal(t, now.texts(), later.texts(), "probes that fail are no further events")
		for _, e := range later.Clients[0].Events {
			if e.Kind == "breaker" {
				require.Greater(t, e.Again, 50, "but they are counted")
				require.WithinRange(t, e.Last, time.Now().Add(-20*time.Second), time.Now())
			}
		}

		f.Resume("a:1")
		f.Resume("b:1")
		time.Sleep(time.Minute)
		then := figures(t, h, "/debug/rpcx?format=json")
		require.True(t, then.has("a:1 takes calls again"), "%q", then.texts())
		require.True(t, then.has("b:1 takes calls again"), "%q", then.texts())

		require.NoError(t, c.Close())
		last := figures(t, h, "/debug/rpcx?format=json")
		require.True(t, last.Clients[0].Closed)
		require.Equal(t, len(then.texts()), len(last.texts()), "closing the client is no event")
	})
}

// Texts of others are data, and bounded.
func TestDebugEscapesWhatOthersSay(t *testing.T) {
	t.Parallel()
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

func TestDebugHandlerLeavesOutNilClients(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c, "none": nil}}
		require.Len(t, figures(t, h, "/?format=json").Clients, 1)
		w := get(h, "/?client=none")
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), `there is no client "none" here; there are: bank`)
		require.Equal(t, http.StatusOK, get(new(rpcx.DebugHandler), "/").Code, "the zero value has a page without clients")
	})
}

// With a token, endpoints can be tripped, drained and reset, which is logged and an event.
func TestDebugControls(t *testing.T) {
	t.Parallel()
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

		w := pagetest.Post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "drain")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.JSONEq(t, `{"Endpoint":"a:1","Effect":"was drained by hand"}`, w.Body.String())
		require.Equal(t, breaker.ForcedOpen, c.Stats().Endpoints[0].State)
		require.Zero(t, where(t, c, 50)["a:1"])
		time.Sleep(5 * time.Minute)
		require.Zero(t, where(t, c, 50)["a:1"], "it stays so")
		require.Len(t, log.with("action=drain"), 1)
		require.Contains(t, log.with("action=drain")[0], "client=bank endpoint=a:1 action=drain remote=192.0.2.1:1234")

		w = pagetest.Post(h, "", "token", "sesame", "client", "bank", "endpoint", "a:1", "action", "reset")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
		time.Sleep(20 * time.Second)
		require.NotZero(t, where(t, c, 50)["a:1"])

		w = pagetest.Post(h, "sesame", "client", "bank", "endpoint", "b:1", "action", "trip", "for", "5m")
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.ErrorContains(t, c.Stats().Endpoints[1].Cause, "tripped by hand, from 192.0.2.1:1234")
		time.Sleep(4 * time.Minute)
		require.Equal(t, breaker.Open, c.Stats().Endpoints[1].State)
		time.Sleep(2 * time.Minute)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[1].State, "a ping was answered")
		now := figures(t, h, "/?format=json")
		require.True(t, now.has("a:1 was drained by hand, from 192.0.2.1:1234"), "%q", now.texts())
		require.True(t, now.has("b:1 takes no calls: tripped by hand, from 192.0.2.1:1234"), "%q", now.texts())
	})
}

// An order that makes no sense in the present state is refused, with the reason.
func TestDebugControlsRefuse(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		single := rpcx.NewClient(conn)
		defer single.Close()
		closed := f.dial()
		require.NoError(t, closed.Close())
		h := &rpcx.DebugHandler{
			Clients: map[string]*rpcx.Client{"bank": c, "single": single, "closed": closed}, Token: "sesame",
			Logger: slog.New(slog.DiscardHandler),
		}
		for _, c := range []struct {
			client, endpoint, action string
			status                   int
			text                     string
		}{
			{"bank", "x:1", "trip", 404, `the client "bank" does not use an endpoint "x:1"`},
			{"single", conn.RemoteAddr().String(), "reset", 409, `has no breaker`},
			{"closed", "a:1", "trip", 409, `is closed`},
		} {
			w := pagetest.Post(h, "sesame", "client", c.client, "endpoint", c.endpoint, "action", c.action)
			require.Equal(t, c.status, w.Code, "%v: %s", c, w.Body)
			require.Contains(t, w.Body.String(), c.text)
		}
		require.Equal(t, http.StatusForbidden, pagetest.Post(h, "guess", "client", "bank", "endpoint", "a:1", "action", "trip").Code)
		for _, e := range c.Stats().Endpoints {
			require.Equal(t, breaker.Closed, e.State)
		}
		trip := func(d string) int {
			return pagetest.Post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "trip", "for", d).Code
		}
		require.Equal(t, http.StatusOK, trip("1h"))
		require.Equal(t, http.StatusConflict, trip("30s"), "a trip does not shorten another")
		require.Equal(t, http.StatusOK, pagetest.Post(h, "sesame", "client", "bank", "endpoint", "a:1", "action", "drain").Code)
		require.Equal(t, http.StatusConflict, trip("2h"), "it is drained")
	})
}
