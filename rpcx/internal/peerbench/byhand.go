package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A conn is one connection to one replica.
type conn interface {
	call(ctx context.Context, m method, in Message) (Message, error)
	Close() error
}

type dialFunc func(ctx context.Context, addr string, o options) (conn, error)

// A line is a connection to one replica that is made anew after it broke.
type line struct {
	addr string
	dial dialFunc
	o    options

	mu     sync.Mutex // protects following
	conn   conn
	closed bool
}

var errClosed = errors.New("the client is closed")

// call makes one attempt.
func (l *line) call(ctx context.Context, m method, in Message) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.patience)
	defer cancel()
	c, err := l.get(ctx)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", errNotSent, err)
	}
	out, err := c.call(ctx, m, in)
	if err != nil && !answered(err) {
		l.drop(c)
	}
	return out, err
}

func (l *line) get(ctx context.Context) (conn, error) {
	l.mu.Lock()
	c, closed := l.conn, l.closed
	l.mu.Unlock()
	if c != nil || closed {
		return c, l.errIf(closed)
	}
	c, err := l.dial(ctx, l.addr, l.o)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil || l.closed { // another call was faster
		c.Close()
		return l.conn, l.errIf(l.closed)
	}
	l.conn = c
	return c, nil
}

func (l *line) errIf(closed bool) error {
	if closed {
		return errClosed
	}
	return nil
}

// drop closes a connection that broke, or whose replica does not answer.
func (l *line) drop(c conn) {
	l.mu.Lock()
	if l.conn == c {
		l.conn = nil
	}
	l.mu.Unlock()
	c.Close()
}

// Close implements io.Closer.
func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
	return nil
}

// byHand is what careful people write: a line to each replica, turn by turn, a bound
// for each attempt, and other replicas for what was not sent or is idempotent.
type byHand struct {
	lines []conn
	turn  atomic.Uint64
}

func newLines(addrs []string, o options, dial dialFunc) []conn {
	var lines []conn
	for _, a := range addrs {
		lines = append(lines, &line{addr: a, dial: dial, o: o})
	}
	return lines
}

func dialByHand(dial dialFunc) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		return connected(&byHand{lines: newLines(addrs, o, dial)})
	}
}

// connected makes the connections of a new client before its first call is timed.
func connected(c client) (client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), whole)
	defer cancel()
	for range 2 * tries { // more than once for each replica
		out, err := c.call(ctx, echo, Message{})
		if err == nil && !echo.right(Message{}, out) {
			err = errWrong
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (h *byHand) call(ctx context.Context, m method, in Message) (out Message, err error) {
	for range tries {
		out, err = h.lines[h.turn.Add(1)%uint64(len(h.lines))].call(ctx, m, in)
		if !again(m, err) {
			break
		}
	}
	return out, err
}

// Close implements io.Closer.
func (h *byHand) Close() error { return closeAll(h.lines) }

func closeAll(lines []conn) error {
	var errs []error
	for _, l := range lines {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
