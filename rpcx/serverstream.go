package rpcx

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx/internal/wire"
)

// gatherFor is how long a reply may wait for others: long beside what reading the
// next request takes, short beside a round trip that anybody would notice.
const gatherFor = 200 * time.Microsecond

// serverStream is the wire as a server's codec sees it. It knows where its reader is,
// and so whether a reply may wait: a reader on its way through what has arrived either
// comes to requests whose replies take it along, or comes back for more, and sees to it.
type serverStream struct {
	*wire.Wire
	born    time.Time
	begun   atomic.Int64 // bytes that came since the last whole request
	waiting atomic.Bool  // the reader is in Read, or about to be
	since   atomic.Int64 // when it came out of there, or what waited last left, since born
}

func newServerStream(w *wire.Wire) *serverStream { return &serverStream{Wire: w, born: time.Now()} }

// Read implements io.Reader.
func (s *serverStream) Read(p []byte) (int, error) {
	s.waiting.Store(true) // before looking, so that who has just written sees it, or this what was written
	s.Send(false)
	n, err := s.Wire.Read(p)
	if n > 0 && !isSpace(p[:n]) {
		s.begun.Add(int64(n))
	}
	s.since.Store(int64(time.Since(s.born)))
	s.waiting.Store(false)
	return n, err
}

// isSpace reports whether p is a little white space: the end of a JSON message that
// comes late, or a sign of life.
func isSpace(p []byte) bool { return len(p) < 16 && len(bytes.TrimSpace(p)) == 0 }

// within reports whether the reader waits for the rest of a request that holds memory.
func (s *serverStream) within() bool { return s.waiting.Load() && s.begun.Load() >= minRate }

// room waits while as much is to be written as may wait in memory: the client does not
// read. Who has written so much has sent it.
func (s *serverStream) room() {
	s.Wait(context.Background()) //nolint:errcheck // it has no end
}

// takesAlong reports whether a reply that was just written, of a request behind which
// there is another one, need not be sent. That ends after gatherFor: methods that compute
// may keep the reader from its turn.
func (s *serverStream) takesAlong() bool {
	if s.waiting.Load() || s.Full() {
		return false
	}
	now, since := int64(time.Since(s.born)), s.since.Load()
	return now-since < int64(gatherFor) || !s.since.CompareAndSwap(since, now)
}
