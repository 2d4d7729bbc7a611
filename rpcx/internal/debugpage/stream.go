package debugpage

import (
	"encoding/json"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"
)

const (
	// maxStreams is the largest number of streams that a Handler serves at the same time.
	maxStreams = 16
	// framePause is the pause between two frames of a stream. If it took long to make a
	// frame, the pause after it is ten times as long.
	framePause = 500 * time.Millisecond
	// frameTimeout is how long the write of a frame may take before the stream ends.
	frameTimeout = 10 * time.Second
)

// stream sends frames until the reader closes the connection or the server shuts down. A
// slow reader gets fewer frames: each is made after the previous one has been sent.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, f *framer, closing <-chan struct{}) {
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "rpcx: too many readers of the stream already; ask for ?format=json", http.StatusServiceUnavailable)
		return
	}
	defer h.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx must not buffer the stream
	if r.Method == http.MethodHead {
		return
	}
	s := eventStream{w, http.NewResponseController(w)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-closing:
			return
		case now := <-timer.C:
			pause, err := s.send(f, now)
			if err != nil {
				return
			}
			timer.Reset(pause)
		}
	}
}

// shutdown returns a channel that is closed when the request's server shuts down, because
// http.Server.Shutdown waits for streams to end. The channel is nil if the server is not
// known. It is never closed if the shutdown began before the server's first request to h.
func (h *Handler) shutdown(r *http.Request) <-chan struct{} {
	srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if srv == nil {
		return nil
	}
	key := weak.Make(srv)
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.closing[key]; c != nil {
		return c
	}
	if h.closing == nil {
		h.closing = make(map[weak.Pointer[http.Server]]<-chan struct{})
	}
	c := make(chan struct{})
	h.closing[key] = c
	srv.RegisterOnShutdown(sync.OnceFunc(func() { close(c) }))
	runtime.AddCleanup(srv, h.forget, key)
	return c
}

// forget removes a server that has been garbage collected.
func (h *Handler) forget(srv weak.Pointer[http.Server]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.closing, srv)
}

// eventStream writes server-sent events.
type eventStream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// send writes a frame and returns the pause before the next one. It sets a write deadline,
// if the ResponseWriter supports that.
func (s eventStream) send(f *framer, now time.Time) (pause time.Duration, err error) {
	data, err := json.Marshal(f.next(now))
	if err != nil {
		return 0, err
	}
	made := time.Now()
	s.rc.SetWriteDeadline(made.Add(frameTimeout)) //nolint:errcheck // it may not be supported
	for _, part := range [][]byte{[]byte("data: "), data, []byte("\n\n")} {
		if _, err := s.w.Write(part); err != nil {
			return 0, err
		}
	}
	return max(framePause, 10*made.Sub(now)), s.rc.Flush()
}
