package server

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx/internal/wire"
)

// maxJoinDelay is how long a reply may wait for others: long beside what reading the
// next request takes, short beside a round trip.
const maxJoinDelay = 200 * time.Microsecond

// stream is the wire as a server's codec sees it. It knows what its reader does, and so
// whether a reply may wait: a reader that goes through what has arrived either comes to
// requests whose replies take it along, or comes back for more and then sends it.
type stream struct {
	*wire.Wire
	born    time.Time
	partial atomic.Int64 // bytes that came since the last whole request
	waiting atomic.Bool  // the reader is in Read, or about to be, or runs a method
	since   atomic.Int64 // when it last came out of Read, or what waited last left: see now
	written atomic.Int64 // bytes that the codec ever wrote, also after the end of the connection
}

func newStream(w *wire.Wire) *stream { return &stream{Wire: w, born: time.Now()} }

// now is the time in nanoseconds since the stream was made.
func (s *stream) now() int64 { return int64(time.Since(s.born)) }

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.pause()
	n, err := s.Wire.Read(p)
	if n > 0 && !isSpace(p[:n]) {
		s.partial.Add(int64(n))
	}
	s.since.Store(s.now())
	s.waiting.Store(false)
	return n, err
}

// Write implements io.Writer. It never fails: once the connection has ended, p is discarded. So a
// codec encodes an answer that is kept for its client even if it cannot be sent, and its
// length is known.
func (s *stream) Write(p []byte) (int, error) {
	s.written.Add(int64(len(p)))
	s.Wire.Write(p) //nolint:errcheck // it fails only after the connection has been aborted
	return len(p), nil
}

// pause is called by the reader when it is not going to come to further requests at once.
// Replies that wait for them are sent.
func (s *stream) pause() {
	s.waiting.Store(true) // before looking: either the writer of a reply sees it, or this sees the reply
	s.Send(false)
}

// isSpace reports whether p is a little white space: the end of a JSON message that
// comes late, or a sign of life.
func isSpace(p []byte) bool { return len(p) < 16 && len(bytes.TrimSpace(p)) == 0 }

// insideRequest reports whether the reader waits for the rest of a request that holds
// memory.
func (s *stream) insideRequest() bool { return s.waiting.Load() && s.partial.Load() >= minRate }

// awaitRoom waits while as much is to be written as may wait in memory: the client does
// not read. The goroutine that has written so much has sent it.
func (s *stream) awaitRoom() {
	s.Wait(context.Background()) //nolint:errcheck // the context has no end
}

// joinsNextFlush reports whether a reply that was just written, of a request behind which
// there is another one, need not be sent. That ends after maxJoinDelay: methods that
// compute may keep the reader from running.
func (s *stream) joinsNextFlush() bool {
	if s.waiting.Load() || s.Full() {
		return false
	}
	now, since := s.now(), s.since.Load()
	return now-since < int64(maxJoinDelay) || !s.since.CompareAndSwap(since, now)
}
