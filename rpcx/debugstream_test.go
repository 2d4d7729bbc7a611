package rpcx_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// A stream that has been asked for before Shutdown may begin after it.
func TestDebugStreamThatBeginsDuringShutdown(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		srv, down := new(http.Server), make(chan error, 1)
		h := &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"bank": c}}
		page := f.pageServer(srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("format") == "stream" {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					down <- srv.Shutdown(ctx)
				}()
				time.Sleep(time.Second) // somebody's middleware
			}
			h.ServeHTTP(w, r)
		}))
		defer srv.Close()
		defer page.CloseIdleConnections()
		resp, err := page.Get("http://page:1/") // the page comes before its stream
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		r := stream(t, page)
		defer r.body.Close()
		require.NoError(t, <-down)
	})
}

// A handler that outlives its servers does not keep them.
func TestDebugHandlerForgetsServers(t *testing.T) {
	h := new(rpcx.DebugHandler)
	gone := make(chan struct{})
	func() {
		srv := new(http.Server)
		runtime.AddCleanup(srv, func(c chan struct{}) { close(c) }, gone)
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, srv)))
		require.Equal(t, 1, h.Servers())
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-gone:
			return h.Servers() == 0
		default:
			return false
		}
	}, time.Minute, time.Millisecond)
}
