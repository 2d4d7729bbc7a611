package server

import "resilientrpc/rpcx/internal/protocol"

// session is one connection, by the name that its two ends know: see memory.
type session struct {
	id    protocol.Session
	conn  *conn  // nil once its last worker has ended
	read  uint64 // requests; valid if asked, or if conn is nil
	acked uint64 // the client has the answers up to this one
	calls map[uint64]*record
	lost  bool // the connection has ended, and methods may still run
	gone  bool // the session is forgotten
	asked bool // no further request may run
}

// count notes how many requests were read, unless a question has fixed that: what comes later
// is not run. The caller holds memory.mu.
func (s *session) count() {
	if s.conn != nil && !s.asked {
		s.read = s.conn.count.Load()
	}
}

// end sees to it that no further request of the session runs, and returns the connection that
// is to be closed, if there is one. The caller holds memory.mu.
func (s *session) end() *conn {
	if s.conn != nil { // a request without a record counts itself, and then looks at retired
		s.conn.retired.CompareAndSwap(nil, protocol.ErrGivenUp)
	}
	s.count()
	s.asked = true
	return s.conn
}

// find returns the record of a call, or what else is the answer. The caller holds memory.mu.
func (s *session) find(q *protocol.Recall) (*record, *protocol.Refusal) {
	r := s.calls[q.Call]
	switch {
	case r == nil && q.Call > s.read, r != nil && r.state == recordNotRun:
		return nil, q.NotRun()
	case r == nil:
		return nil, protocol.ErrForgotten
	case r.state == recordRunning && !q.Wait:
		return nil, protocol.ErrRuns
	}
	return r, nil
}

// lonely appends copies of the records that run and have had no caller for too long. The
// caller holds memory.mu.
func (s *session) lonely(to []*record) []*record {
	for _, r := range s.calls {
		switch {
		case r.state != recordRunning:
		case r.asker != nil && r.asker.lost.Load() == nil:
			r.lone = 0
		default:
			if r.lone++; r.lone == graceTicks {
				to = append(to, &record{caller: r.caller, seq: r.seq})
			}
		}
	}
	return to
}
