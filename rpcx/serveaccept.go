package rpcx

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
	// maxCrowd is how many connections beyond MaxConns there may be, whose requests are
	// refused, or which end to make room. Each is there for a few seconds; accepting
	// waits for them, so that none has to be closed unheard.
	maxCrowd = 1024
)

// accept serves connections until ctx ends or the listener does, and returns its error.
func (s *serving) accept(ctx context.Context, lis net.Listener) error {
	delay := time.Duration(0)
	for {
		conn, err := lis.Accept()
		if err == nil {
			delay = 0
			s.serve(conn)
			if s.await(ctx) {
				continue
			}
			return ctx.Err()
		}
		if ctx.Err() != nil || !isTemporary(err) {
			return err
		}
		// Out of file descriptors, say: it passes (net/http waits the same way).
		if delay == 0 { // once for a row of them
			s.log.Error("accept failed; trying again", "error", err)
		}
		delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// isTemporary reports whether accepting may succeed later. Of a listener that is closed
// each kind says so in words of its own, so all else is the end.
func isTemporary(err error) bool {
	var says interface{ Temporary() bool }
	if errors.As(err, &says) && says.Temporary() {
		return true
	}
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// serve starts to serve a connection, or to refuse its requests.
func (s *serving) serve(conn net.Conn) {
	c := newServerConn(s, conn)
	idle, ok := s.place(c)
	if idle != nil {
		idle.leave(errCrowded)
	}
	if !ok {
		c.leave(errCrowded)
	}
	s.wg.Add(1) // until c is over
	go c.serve()
}

// place finds a place for c. It may be that of an idle connection, which is to leave.
func (s *serving) place(c *serverConn) (idle *serverConn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	if s.cfg.MaxConns > 0 && s.placed >= s.cfg.MaxConns {
		if idle = s.idlest(); idle == nil {
			s.crowd.add(c.conn)
			return nil, false
		}
		idle.placed = false
		s.placed--
	}
	c.placed = true
	s.placed++
	return idle, true
}

// idlest returns the connection with a place that has been idle the longest, or nil if
// there is none that may be asked to leave. The caller holds mu.
func (s *serving) idlest() (idlest *serverConn) {
	quiet := enoughIdle
	for c := range s.conns {
		if q := c.quiet; c.placed && q >= quiet && !c.busy() {
			idlest, quiet = c, q+1
		}
	}
	return idlest
}

// remove takes note that c is over.
func (s *serving) remove(c *serverConn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.placed {
		s.placed--
	}
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// await waits while there are too many connections without a place. It returns false if
// ctx ends first.
func (s *serving) await(ctx context.Context) bool {
	for s.crowded() {
		select {
		case <-s.freed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (s *serving) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)-s.placed >= maxCrowd
}

// crowd sums up the connections that were refused, for the log.
type crowd struct {
	n    int // since the last line
	last net.Addr
}

func (k *crowd) add(conn net.Conn) { k.n, k.last = k.n+1, conn.RemoteAddr() }
