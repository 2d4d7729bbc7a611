package rpcx_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/pagetest"
)

// pageServer serves a handler in the fleet's network at "page:1".
func (f *fleet) pageServer(srv *http.Server, h http.Handler) *http.Client {
	srv.Handler = h
	go srv.Serve(f.Listen("page:1")) //nolint:errcheck // it ends with the server
	dial := f.DialContext
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// A stream begins with the whole state and goes on with the changes, whatever time limits
// its server has.
func TestDebugStreamSendsChanges(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = time.Minute // an answered ping changes the figures
		c := f.dial()
		defer c.Close()
		srv := &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Second}
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}
		page := f.pageServer(srv, h)
		defer srv.Close()
		time.Sleep(time.Second)
		r := pagetest.Stream[frame](t, page)
		first := r.Must()
		require.True(t, first.Whole)
		require.Len(t, first.Clients[0].Stats.Endpoints, 3)
		start := time.Now()
		for range 20 {
			still := r.Must()
			require.False(t, still.Whole)
			require.Empty(t, still.Clients[0].Stats.Endpoints, "nothing has changed")
			require.Empty(t, still.Clients[0].Events)
		}
		require.InDelta(t, 10, time.Since(start).Seconds(), 0.1, "two a second")
		f.kill("b:1")
		var seen frame
		for !seen.has("b:1 takes no calls: ") {
			seen = r.Must()
		}
		away := 0
		for _, e := range seen.Clients[0].Stats.Endpoints {
			if e.Address == "b:1" && (e.State == "open" || e.State == "half-open") { // for it may be probed just then
				away++
			}
		}
		require.Equal(t, 1, away, "%v", seen.Clients[0].Stats.Endpoints)
		require.NoError(t, c.Close())
		for !seen.Clients[0].Closed {
			seen = r.Must()
		}
		require.NoError(t, r.Body.Close())
	})
}

// A stream reports endpoints that leave the set, and new ones.
func TestDebugStreamFollowsTheSet(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c, sets := f.resolve("a:1", "b:1")
		defer c.Close()
		srv := new(http.Server)
		r := pagetest.Stream[frame](t, f.pageServer(srv, &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}))
		defer srv.Close()
		defer r.Body.Close()
		require.True(t, r.Must().has("endpoints resolved: 2 added, 0 removed, 0 kept"))
		sets.say("c:1", "b:1")
		now := r.Must()
		for len(now.Clients[0].Gone) == 0 {
			now = r.Must()
		}
		require.Equal(t, []string{"a:1"}, now.Clients[0].Gone)
		require.Empty(t, r.Must().Clients[0].Gone, "once")
		require.True(t, now.has("endpoints resolved: 1 added, 1 removed, 1 kept"), "%q", now.texts())
		require.True(t, now.has("c:1 is in use now"), "%q", now.texts())
		require.Equal(t, "c:1", now.Clients[0].Stats.Endpoints[0].Address)
	})
}
