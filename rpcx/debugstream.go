package rpcx

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
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

// stream sends frames until the reader or the server has had enough. A slow reader
// gets fewer: the next frame is made once the last one is gone.
func (h *DebugHandler) stream(w http.ResponseWriter, r *http.Request, f *framer) {
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "rpcx: too many readers of the stream already; ask for ?format=json", http.StatusServiceUnavailable)
		return
	}
	defer h.streams.Add(-1)
	s := sse{w, http.NewResponseController(w)}
	defer s.begin()()
	if r.Method == http.MethodHead {
		return
	}
	closing := h.closed(r)
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

// closed returns a channel that is closed when the request's server shuts down, which
// would otherwise wait for the stream to end. It is nil if the server is not known.
func (h *DebugHandler) closed(r *http.Request) <-chan struct{} {
	srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if srv == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.closing[srv]; c != nil {
		return c
	}
	if h.closing == nil {
		h.closing = make(map[*http.Server]<-chan struct{})
	}
	c := make(chan struct{})
	h.closing[srv] = c
	srv.RegisterOnShutdown(sync.OnceFunc(func() { close(c) }))
	return c
}

// sse writes server-sent events.
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// begin sends the header, and lifts the server's time limits for the request until
// the function that it returns is called. Where they cannot be, they stay.
func (s sse) begin() (end func()) {
	head := s.w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("X-Accel-Buffering", "no")                  // nginx passes on what it gets
	s.rc.SetReadDeadline(time.Time{})                    //nolint:errcheck // see above
	return func() { s.rc.SetWriteDeadline(time.Time{}) } //nolint:errcheck // likewise
}

// send writes a frame, and returns how long to wait before the next one.
func (s sse) send(f *framer, now time.Time) (pause time.Duration, err error) {
	data, err := json.Marshal(f.next(now))
	if err != nil {
		return 0, err
	}
	made := time.Now()
	s.rc.SetWriteDeadline(made.Add(frameTimeout)) //nolint:errcheck // see begin
	for _, part := range [][]byte{[]byte("data: "), data, []byte("\n\n")} {
		if _, err := s.w.Write(part); err != nil {
			return 0, err
		}
	}
	return max(framePause, 10*made.Sub(now)), s.rc.Flush()
}
