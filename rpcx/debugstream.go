package rpcx

import (
	"encoding/json"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"
)

const (
	// maxStreams is how many readers a DebugHandler has at a time.
	maxStreams = 16
	// framePause is the time between two frames of a stream. A frame that is dear to
	// make is followed by ten times what it took, if that is more.
	framePause = 500 * time.Millisecond
	// frameTimeout is how long a reader may take for a frame before it is given up.
	frameTimeout = 10 * time.Second
)

// stream sends frames until the reader or the server, by closing, has had enough. A slow reader
// gets fewer: the next frame is made once the last one is gone.
func (h *DebugHandler) stream(w http.ResponseWriter, r *http.Request, f *framer, closing <-chan struct{}) {
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "rpcx: too many readers of the stream already; ask for ?format=json", http.StatusServiceUnavailable)
		return
	}
	defer h.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes on what it gets
	if r.Method == http.MethodHead {
		return
	}
	s := sse{w, http.NewResponseController(w)}
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

// shutdown returns a channel that is closed when the request's server shuts down, which
// would otherwise wait for streams to end. It is nil if the server is not known. Of a
// shutdown that has begun before the server's first request here nobody can tell.
func (h *DebugHandler) shutdown(r *http.Request) <-chan struct{} {
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

// forget is told that nobody has the server any more.
func (h *DebugHandler) forget(srv weak.Pointer[http.Server]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.closing, srv)
}

// sse writes server-sent events.
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// send writes a frame, and returns how long to wait before the next one. Its time limit
// takes the place of the server's, where that can be had.
func (s sse) send(f *framer, now time.Time) (pause time.Duration, err error) {
	data, err := json.Marshal(f.next(now))
	if err != nil {
		return 0, err
	}
	made := time.Now()
	s.rc.SetWriteDeadline(made.Add(frameTimeout)) //nolint:errcheck // see above
	for _, part := range [][]byte{[]byte("data: "), data, []byte("\n\n")} {
		if _, err := s.w.Write(part); err != nil {
			return 0, err
		}
	}
	return max(framePause, 10*made.Sub(now)), s.rc.Flush()
}
