package rpcx_test

import (
	"log/slog"
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

// The names of schemes are not case-sensitive (RFC 9110); tokens are.
func TestDebugTakesTheSchemeInAnyCase(t *testing.T) {
	h := &rpcx.DebugHandler{Token: "sesame", Logger: slog.New(slog.DiscardHandler)}
	for given, want := range map[string]int{
		"Bearer sesame": http.StatusNotFound, // the client, that is
		"bearer sesame": http.StatusNotFound,
		"BEARER sesame": http.StatusNotFound,
		"Bearer Sesame": http.StatusForbidden,
		"Basic sesame":  http.StatusForbidden,
		"Bearersesame":  http.StatusForbidden,
		"Bearer":        http.StatusForbidden,
		"":              http.StatusForbidden,
	} {
		require.Equal(t, want, request(h, http.MethodPost, "/", "", "Authorization", given).Code, given)
	}
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
		require.ErrorContains(t, c.Stats().Endpoints[1].Cause, "tripped by hand, from 192.0.2.1:1234")
		time.Sleep(4 * time.Minute)
		require.Equal(t, breaker.Open, c.Stats().Endpoints[1].State)
		time.Sleep(2 * time.Minute)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[1].State, "a ping was answered")
		now := figures(t, h, "/?format=json")
		require.True(t, now.has("a:1 was drained by hand, from 192.0.2.1:1234"), "%q", now.texts())
		require.True(t, now.has("b:1 takes no calls for 5m0s: tripped by hand, from 192.0.2.1:1234"), "%q", now.texts())
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
			{"sesame", []string{"client", "single", "endpoint", conn.RemoteAddr().String(), "action", "reset"}, 409, `has no breaker`},
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
