package rpcx

import (
	"context"
	"fmt"
	"net"
	"time"
)

// dialGrace is how long a dial whose time is up may take to say so itself, which
// tells more than our own word.
const dialGrace = 50 * time.Millisecond

// errDialStray is a dial that is over for us and has not returned.
var errDialStray = fmt.Errorf("it has not returned although its time is up: %w", context.DeadlineExceeded)

// within is connect for a time that is up when ctx ends, although NetDial, or a
// connection in its handshake, may not look at that. A dial that does not return is
// left to itself, one for each slot of the pool: until it returns no other is begun, and what
// it connects to is closed. The slot's singleflight calls it, for one at a time.
func (l *poolSlot) within(ctx context.Context, address string, connect func() (net.Conn, error)) (net.Conn, error) {
	stray := fmt.Errorf("dial %s: %w", address, errDialStray)
	if l.stray != nil {
		select {
		case <-l.stray:
			l.stray = nil
		default:
			return nil, stray
		}
	}
	type dialed struct {
		conn net.Conn
		err  error
	}
	end, left, returned := make(chan dialed), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		conn, err := connect()
		select {
		case end <- dialed{conn, err}:
		case <-left:
			if err == nil { // it was in time by a hair; connect itself closes a later one
				discard(conn)
			}
		}
	}()
	select {
	case d := <-end:
		return d.conn, d.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(dialGrace)
	defer grace.Stop()
	select {
	case d := <-end:
		return d.conn, d.err
	case <-grace.C:
		l.stray = returned
		close(left)
		return nil, stray
	}
}
