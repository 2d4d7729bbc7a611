package server

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"resilientrpc/rpcx/internal/oserr"
	"resilientrpc/rpcx/internal/protocol"
)

const (
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
	// maxRefused is how many connections beyond MaxConns there may be: their requests are
	// refused, or they end to make room. Each lasts for a few seconds; accepting waits for
	// them, so that none has to be closed without an answer.
	maxRefused = 1024
)

// accept serves connections until ctx ends or the listener does, and returns its error.
func (s *serving) accept(ctx context.Context, lis net.Listener) error {
	delay := time.Duration(0)
	for {
		conn, err := lis.Accept()
		if err == nil {
			delay = 0
			s.serve(conn)
			if s.awaitRoom(ctx) {
				continue
			}
			return ctx.Err()
		}
		if ctx.Err() != nil || !isTemporary(err) {
			return err
		}
		// For example out of file descriptors: it passes (net/http waits the same way).
		if delay == 0 { // one line for several failures in a row
			s.log.Error("accept failed; trying again", "err", err)
		}
		delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// isTemporary reports whether accepting may succeed later. Each kind of listener has
// its own error for being closed, so every other error ends the serving.
func isTemporary(err error) bool {
	var says interface{ Temporary() bool }
	if errors.As(err, &says) && says.Temporary() {
		return true
	}
	var errno syscall.Errno
	return errors.As(err, &errno) && (oserr.IsShortage(errno) || oserr.IsAborted(errno))
}

// serve starts to serve a connection, or to refuse its requests.
func (s *serving) serve(nc net.Conn) {
	c := newConn(s, nc)
	idle, ok := s.admit(c)
	if idle != nil {
		idle.retire(protocol.ErrMaxConns)
	}
	if !ok {
		c.retire(protocol.ErrMaxConns)
	}
	s.wg.Add(1) // until c has ended
	go c.serve()
}

// admit counts c against MaxConns. If there is no room, it returns false, or an idle
// connection whose place c takes and which is to end.
func (s *serving) admit(c *conn) (idle *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	if s.cfg.MaxConns > 0 && s.admitted >= s.cfg.MaxConns {
		if idle = s.longestIdle(); idle == nil {
			s.surplus.add(c.nc)
			return nil, false
		}
		idle.admitted = false
		s.admitted--
	}
	c.admitted = true
	s.admitted++
	return idle, true
}

// longestIdle returns the admitted connection that has been idle the longest, or nil if
// none has been idle for long enough. The caller holds mu.
func (s *serving) longestIdle() (longest *conn) {
	least := enoughIdle
	for c := range s.conns {
		if c.admitted && c.idleLooks >= least && !c.busy() {
			longest, least = c, c.idleLooks+1
		}
	}
	return longest
}

// remove forgets a connection that has ended.
func (s *serving) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.admitted {
		s.admitted--
	}
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// awaitRoom waits while there are too many connections beyond MaxConns. It returns
// false if ctx ends first.
func (s *serving) awaitRoom(ctx context.Context) bool {
	for s.full() {
		select {
		case <-s.freed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (s *serving) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)-s.admitted >= maxRefused
}

// refusedConns sums up the connections that were refused, for the log.
type refusedConns struct {
	n    int // since the last line
	last net.Addr
}

func (r *refusedConns) add(nc net.Conn) { r.n, r.last = r.n+1, nc.RemoteAddr() }
