package debugpage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"resilientrpc/rpcx/internal/pagetest"

	"github.com/stretchr/testify/require"
)

// A stream begins with a whole frame and goes on with the changes, whatever time limits
// its server has, and ends with its reader.
func TestStreamSendsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake("a:1", "b:1")
		h := &Handler{Clients: map[string]Client{"bank": c}}
		page := serve(t, &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Second}, h)
		c.Note(Event{Text: "first"})
		r := pagetest.Stream[frame](t, page)
		whole, first := must(t, r)
		require.True(t, whole)
		require.Len(t, first.endpoints(), 2)
		require.Len(t, first.Events, 1)
		start := time.Now()
		for range 20 {
			whole, still := must(t, r)
			require.False(t, whole)
			require.Empty(t, still.endpoints(), "nothing has changed")
			require.Empty(t, still.Events)
			require.Empty(t, still.Gone)
		}
		require.InDelta(t, 10, time.Since(start).Seconds(), 0.1, "two a second")

		c.change(func() { c.states["b:1"], c.closed = "open", true })
		c.Note(Event{Text: "second"})
		_, now := must(t, r)
		require.Equal(t, map[string]string{"b:1": "open"}, now.endpoints())
		require.Len(t, now.Events, 1)
		require.Equal(t, "second", now.Events[0].Text)
		require.True(t, now.Closed)

		c.change(func() { delete(c.states, "a:1"); c.states["c:1"] = "closed" })
		_, now = must(t, r)
		require.Equal(t, []string{"a:1"}, now.Gone)
		require.Equal(t, map[string]string{"c:1": "closed"}, now.endpoints())
		_, now = must(t, r)
		require.Empty(t, now.Gone, "once")
		c.change(func() { c.states["a:1"] = "closed" })
		_, now = must(t, r)
		require.Equal(t, map[string]string{"a:1": "closed"}, now.endpoints(), "it is back")

		require.NoError(t, r.Body.Close())
		time.Sleep(time.Second)
		require.Zero(t, h.streams.Load())
	})
}

// The stream of a reader that does not read ends, and there is a limit on readers.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := strings.Repeat("bank", 10_000) // for large frames
		h := &Handler{Clients: map[string]Client{name: newFake("a:1")}}
		page := serve(t, new(http.Server), h)
		var readers []*pagetest.Reader[frame]
		for range maxStreams {
			readers = append(readers, pagetest.Stream[frame](t, page))
		}
		w := pagetest.Request(h, http.MethodGet, "/?format=stream", "")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "5", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), "too many readers of the stream already")
		require.EqualValues(t, maxStreams, h.streams.Load())
		time.Sleep(5 * time.Minute) // without reading, until the buffers of the network are full
		require.Zero(t, h.streams.Load(), "the streams of those who do not read have ended")
		for _, r := range readers {
			require.NoError(t, r.Body.Close())
		}
	})
}

// http.Server.Shutdown waits for all requests, and a stream has no end of its own.
func TestStreamEndsWithItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := new(http.Server)
		r := pagetest.Stream[frame](t, serve(t, srv, &Handler{Clients: map[string]Client{"bank": newFake("a:1")}}))
		must(t, r)
		start := time.Now()
		require.NoError(t, srv.Shutdown(t.Context()))
		require.NoError(t, srv.Shutdown(t.Context()), "once more")
		require.Less(t, time.Since(start), 2*time.Second)
		for ok := true; ok; _, ok = r.Next() {
			require.Less(t, time.Since(start), 2*time.Second)
		}
	})
}

// A stream that was requested before Shutdown may begin after it.
func TestStreamThatBeginsDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, down := new(http.Server), make(chan error, 1)
		h := &Handler{Clients: map[string]Client{"bank": newFake("a:1")}}
		page := serve(t, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a slow middleware
			if r.FormValue("format") == "stream" {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					down <- srv.Shutdown(ctx)
				}()
				time.Sleep(time.Second)
			}
			h.ServeHTTP(w, r)
		}))
		resp, err := page.Get("http://page:1/") // the page comes before its stream
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		r := pagetest.Stream[frame](t, page)
		defer r.Body.Close()
		require.NoError(t, <-down)
	})
}

// A handler that outlives its servers does not keep them.
func TestServersAreForgotten(t *testing.T) {
	h := new(Handler)
	servers := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.closing)
	}
	collected := make(chan struct{})
	func() {
		srv := new(http.Server)
		runtime.AddCleanup(srv, func(c chan struct{}) { close(c) }, collected)
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, srv)))
		require.Equal(t, 1, servers())
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected:
			return servers() == 0
		default:
			return false
		}
	}, time.Minute, time.Millisecond)
}
