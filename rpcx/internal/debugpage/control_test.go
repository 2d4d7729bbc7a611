package debugpage

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"resilientrpc/rpcx/internal/pagetest"

	"github.com/stretchr/testify/require"
)

// The names of schemes are not case-sensitive (RFC 9110); tokens are.
func TestSchemeInAnyCase(t *testing.T) {
	h := &Handler{Token: "sesame", Logger: slog.New(slog.DiscardHandler)}
	for given, want := range map[string]int{
		"Bearer sesame": http.StatusNotFound, // of the client
		"bearer sesame": http.StatusNotFound,
		"BEARER sesame": http.StatusNotFound,
		"Bearer Sesame": http.StatusForbidden,
		"Basic sesame":  http.StatusForbidden,
		"Bearersesame":  http.StatusForbidden,
		"Bearer":        http.StatusForbidden,
		"":              http.StatusForbidden,
	} {
		require.Equal(t, want, pagetest.Request(h, http.MethodPost, "/", "", "Authorization", given).Code, given)
	}
}

func TestOrders(t *testing.T) {
	var log log
	c := newFake("a:1")
	h := &Handler{Clients: map[string]Client{"bank": c}, Token: "sesame", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, fields := range [][]string{
		{"action", "trip"},
		{"action", "trip", "for", "24h"},
		{"action", "drain"},
		{"action", "reset"},
	} {
		w := pagetest.Post(h, "sesame", append(fields, "client", "bank", "endpoint", "a:1")...)
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		require.JSONEq(t, `{"Endpoint":"a:1","Effect":"has had its order"}`, w.Body.String())
	}
	require.Equal(t, http.StatusOK, pagetest.Post(h, "", "token", "sesame", "client", "bank", "endpoint", "a:1", "action", "reset").Code)
	var got []Order
	for _, o := range c.orders {
		require.WithinDuration(t, time.Now(), o.At, time.Minute)
		o.At = time.Time{}
		got = append(got, o)
	}
	order := func(a Action, d time.Duration) Order {
		return Order{Endpoint: "a:1", Action: a, For: d, From: "192.0.2.1:1234"}
	}
	require.Equal(t, []Order{
		order(Trip, 30*time.Second), order(Trip, 24*time.Hour), order(Drain, 30*time.Second),
		order(Reset, 30*time.Second), order(Reset, 30*time.Second),
	}, got)
	require.Len(t, log.with("endpoint controlled by hand"), 5, "all are logged")
	require.Contains(t, log.with("action=drain")[0], `client=bank endpoint=a:1 action=drain remote=192.0.2.1:1234 effect="has had its order"`)
}

// What is wrong with an order is in the answer, and nothing is done.
func TestOrdersRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		c, refusing := newFake("a:1"), newFake("a:1")
		refusing.refuse = errors.New("rpcx: it is closed")
		h := &Handler{
			Clients: map[string]Client{"bank": c, "closed": refusing}, Token: "sesame",
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
			{"sesame", []string{"client", "money", "endpoint", "a:1", "action", "trip"}, 404, `no client "money" here; there are: bank, closed`},
			{"sesame", []string{"client", "bank", "endpoint", "x:1", "action", "trip"}, 404, `the client "bank" does not use an endpoint "x:1"`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "kill"}, 400, `want trip, reset or drain`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip", "for", "soon"}, 400, `want a duration up to 24h`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip", "for", "-1s"}, 400, `want a duration up to 24h`},
			{"sesame", []string{"client", "bank", "endpoint", "a:1", "action", "trip", "for", "24h1s"}, 400, `want a duration up to 24h`},
			{"sesame", []string{"client", "closed", "endpoint", "a:1", "action", "reset"}, 409, `it is closed`},
			{"sesame", []string{"client", "bank", "x", strings.Repeat("x", 10_000)}, 400, `the form cannot be read`},
		} {
			w := pagetest.Post(h, c.token, c.fields...)
			require.Equal(t, c.status, w.Code, "%q: %s", c.fields, w.Body)
			require.Contains(t, w.Body.String(), c.text)
		}
		require.Equal(t, http.StatusForbidden, pagetest.Request(h, http.MethodPost, "/?token=sesame&client=bank&endpoint=a:1&action=trip", "").Code,
			"addresses are logged, so a token in one is not accepted")
		require.Empty(t, c.orders)
		require.Empty(t, log.with("by hand"))
		require.Len(t, log.with("wrong token"), 1, "guesses do not flood the log")
		time.Sleep(2 * time.Minute)
		pagetest.Post(h, "guess")
		require.Len(t, log.with("wrong token"), 2)
		require.Contains(t, log.with("wrong token")[1], "suppressed=3")
		require.Empty(t, log.with("sesam"), "no token is logged, not even a wrong one")
	})
}
