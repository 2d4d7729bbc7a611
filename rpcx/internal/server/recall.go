package server

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// A memory knows what became of recent requests, so that a client whose connection broke can
// ask for the answers that it has not got. A session is one connection, by a name that only
// its two ends know. Of each session the memory has the number of requests that were read,
// and a record of each that its client asks to be remembered:
//
//	record    event                                            next
//	none      the request is read                              running
//	none      the request is read, and refused                 not run
//	none      it is read, and its number is wrong              not run
//	none      it is read, and the session was asked about      none; the request is refused
//	running   its arguments cannot be read                     not run
//	running   the method ends                                  answered
//	any       a later request says that the answer has come    none: forgotten
//	answered, not run
//	          it is larger than limit, or the oldest beyond limit, or older than keep
//	                                                           none: forgotten
//
// A question about a call ends the session's connection first. Then no further request of the
// session is run, and the answer is final:
//
//	record     the call's number       answer
//	running    any                     that it runs, or later the method's answer
//	answered   any                     the method's answer
//	not run    any                     not run
//	none       beyond those read       not run
//	none       among those read        forgotten
//	the session is not known           forgotten; another server's if it is not one of ours
//
// The number is the position among all requests of the connection, so a request that was
// read counts even if its metadata were damaged. One whose number is not its position is not
// run, and ends the connection.
//
// A session is forgotten keep after its connection and all methods on it have ended. Methods
// whose caller may still ask are not told that the connection is lost before graceTicks looks
// have found no other.
type memory struct {
	limit  int64 // bytes
	keep   time.Duration
	server [8]byte // the first half of all sessions

	mu       sync.Mutex // protects following, sessions and records
	now      time.Time  // of the last sweep
	sessions map[protocol.Session]*session
	bytes    int64  // of the records in aging
	aging    record // the root of a ring, oldest first: answers, and ends of sessions
}

// A record is one request, or the end of a session.
type record struct {
	session *session
	call    uint64 // 0: it is the end of the session
	state   recordState
	caller  *caller // while it runs
	seq     uint64  // of its request, for caller

	asker *conn         // that waits for the answer, if any
	done  chan struct{} // closed at the end, or when asker changes; nil if nothing waits
	lone  int           // looks in a row that found no connection to a caller

	failure    string // the error of the method
	body       any    // its reply
	size       int64
	at         time.Time // when it joined aging
	prev, next *record   // in aging
}

type recordState uint8

const (
	recordRunning recordState = iota
	recordAnswered
	recordNotRun
)

const (
	// recordSize and sessionSize are what they count for in memory.limit beside the answer, and about what
	// they take.
	recordSize  = 256
	sessionSize = 512
	// graceTicks is how many looks of the watch a method may run for which no caller is
	// connected.
	graceTicks = 5
)

// newMemory returns nil, a memory of nothing, if limit is 0.
func newMemory(limit int64, keep time.Duration) *memory {
	if limit == 0 {
		return nil
	}
	m := &memory{limit: limit, keep: keep, sessions: make(map[protocol.Session]*session), now: time.Now()}
	rand.Read(m.server[:]) //nolint:errcheck // it does not fail
	m.aging.prev, m.aging.next = &m.aging, &m.aging
	return m
}

// welcome names the session of a connection, if there is to be one.
func (m *memory) welcome(c *conn) protocol.Welcome {
	if m == nil {
		return protocol.NewWelcome(nil)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.session == nil {
		s := &session{conn: c, calls: make(map[uint64]*record)}
		copy(s.id[:], m.server[:])
		rand.Read(s.id[len(m.server):]) //nolint:errcheck // it does not fail
		c.session = s
		m.sessions[s.id] = s
	}
	return protocol.NewWelcome(c.session.id[:])
}

// errDisorder ends a connection on which a request has another number than its position.
var errDisorder = errors.New("rpcx: a request has a wrong number; the stream is in disorder")

// begin makes a record of a request, and returns why it may not be run.
func (m *memory) begin(q *request) (r *record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	position, meta, s := q.count.Add(1), &q.caller.meta, q.session
	switch {
	case s == nil:
		return nil, errDisorder
	case s.asked:
		return nil, protocol.ErrGivenUp
	case meta.Call-meta.Pending != position || meta.Pending >= position:
		err = errDisorder
	default:
		m.acknowledge(s, position-meta.Pending-1)
	}
	r = &record{session: s, call: position, caller: q.caller, seq: q.seq}
	s.calls[position] = r
	if q.refused != nil || err != nil {
		m.settle(r, recordNotRun, 0)
	}
	return r, err
}

// acknowledge forgets the answers up to a call. It looks at no more numbers than there are records:
// most requests may have none. The caller holds mu.
func (m *memory) acknowledge(s *session, to uint64) {
	from := s.acked
	if to <= from {
		return
	}
	s.acked = to
	if to-from > uint64(len(s.calls)) {
		for call, r := range s.calls {
			if call <= to {
				m.arrived(r)
			}
		}
		return
	}
	for call := from + 1; call <= to; call++ {
		m.arrived(s.calls[call])
	}
}

// arrived forgets the answer to a call, unless that is running or has no record. The caller
// holds mu.
func (m *memory) arrived(r *record) {
	if r != nil && r.state != recordRunning {
		m.forget(r)
	}
}

// finish notes the answer of a method, which took size bytes on the wire.
func (m *memory) finish(r *record, failure string, body any, size int64) {
	if r == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.state == recordRunning {
		r.failure, r.body = failure, body
		m.settle(r, recordAnswered, size)
	}
}

// cancel notes that the method of a request will not run.
func (m *memory) cancel(r *record) {
	if r == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.state == recordRunning {
		m.settle(r, recordNotRun, 0)
	}
}

// settle ends the running of a request. The caller holds mu.
func (m *memory) settle(r *record, state recordState, size int64) {
	r.state, r.caller = state, nil
	if r.done != nil {
		close(r.done)
	}
	if s := r.session; r.call <= s.acked || s.gone { // nothing will be asked
		delete(s.calls, r.call)
		return
	}
	m.age(r, recordSize+size)
}

// age adds a record to those that may be forgotten. The caller holds mu.
func (m *memory) age(r *record, size int64) {
	r.size, r.at = size, m.now
	r.prev, r.next = m.aging.prev, &m.aging
	r.prev.next, r.next.prev = r, r
	m.bytes += size
	if size > m.limit { // the others need not make room in vain
		m.forget(r)
	}
	for m.bytes > m.limit {
		m.forget(m.aging.next)
	}
}

// forget removes a record, or a session with its end. The caller holds mu.
func (m *memory) forget(r *record) {
	r.prev.next, r.next.prev = r.next, r.prev
	r.prev, r.next = nil, nil // what still refers to r keeps no other record in memory
	m.bytes -= r.size
	if r.call == 0 {
		r.session.gone = true
		delete(m.sessions, r.session.id)
	} else {
		delete(r.session.calls, r.call)
	}
}

// lose notes that a connection has ended.
func (m *memory) lose(c *conn) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := c.session; s != nil {
		s.lost = true
	}
}

// close notes that a connection has ended, and all its methods have.
func (m *memory) close(c *conn) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := c.session; s != nil && s.conn != nil {
		s.count()
		s.conn = nil
		m.age(&record{session: s}, sessionSize)
	}
}

// recall ends the session that a question is about, and returns the record of the call, or
// what else is the answer. If the record is still running, done is closed at the end of that, or
// when the same is asked over another connection.
func (m *memory) recall(q *protocol.Recall, asker *conn) (r *record, done <-chan struct{}, why *protocol.Refusal) {
	if !q.IsValid() {
		return nil, nil, protocol.ErrMalformed
	}
	id := protocol.Session(q.Session)
	m.mu.Lock()
	s := m.sessions[id]
	switch {
	case s != nil && s.conn == asker:
		why = protocol.ErrMalformed
	case s != nil:
	case [8]byte(id[:8]) != m.server:
		why = protocol.ErrOtherServer
	default:
		why = protocol.ErrForgotten
	}
	if why != nil {
		m.mu.Unlock()
		return nil, nil, why
	}
	c := s.end()
	r, why = s.find(q)
	if why == nil && r.state == recordRunning {
		if r.asker != asker { // the client has given up the connection of an earlier question
			if r.done != nil {
				close(r.done)
			}
			r.done = make(chan struct{})
		}
		r.asker, r.lone = asker, 0
		done = r.done
	}
	m.mu.Unlock()
	if c != nil {
		c.abort(wire.ErrClosed)
	}
	return r, done, why
}

// runs reports whether a method still runs.
func (m *memory) runs(r *record) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.state == recordRunning
}

// sweep forgets what is old, and ends the contexts of methods that no caller has asked about.
func (m *memory) sweep(now time.Time) {
	if m == nil {
		return
	}
	var lone []*record
	m.mu.Lock()
	m.now = now
	for r := m.aging.next; r != &m.aging && now.Sub(r.at) > m.keep; r = m.aging.next {
		m.forget(r)
	}
	for _, s := range m.sessions {
		if s.lost && s.conn != nil {
			lone = s.lonely(lone)
		}
	}
	m.mu.Unlock()
	for _, r := range lone {
		r.abandon(errLost)
	}
}

// abandon ends the context of a method that runs.
func (m *memory) abandon(r *record, cause error) {
	m.mu.Lock()
	running := record{caller: r.caller, seq: r.seq}
	m.mu.Unlock()
	running.abandon(cause)
}

// abandon is memory.abandon for a copy of a record: its caller may have another request by now.
func (r *record) abandon(cause error) {
	if c := r.caller; c != nil {
		c.abandon(cause, func() bool { return c.seq == r.seq })
	}
}
