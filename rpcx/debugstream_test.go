package rpcx_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

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

// next returns the next frame, or false at the end of the stream.
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
	require.True(r.t, ok, "the stream has ended")
	return f
}

// A stream begins with the whole state and goes on with the changes, whatever time limits
// its server has.
func TestDebugStreamSendsChanges(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = time.Minute // an answered ping changes the figures
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
	})
}

// A stream reports endpoints that leave the set, and new ones.
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
