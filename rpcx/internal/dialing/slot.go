package dialing

import (
	"context"
	"fmt"
	"net"
	"time"
)

// dialGrace is how long a dial whose time is up may take to say so itself, which
// tells more than our own word.
const dialGrace = 50 * time.Millisecond

// ErrStray is the error of a dial that is over for us and has not returned.
var ErrStray = fmt.Errorf("it has not returned although its time is up: %w", context.DeadlineExceeded)

// A Slot is the place of one connection at a time. Its zero value is ready for use.
type Slot struct {
	stray <-chan struct{} // closed when a dial returns that was given up; nil if none was
}

// Within is connect for a time that is up when ctx ends, although NetDial, or a
// connection in its handshake, may not look at that. A dial that does not return is
// left to itself, one for each slot: until it returns no other is begun, and what
// it connects to is closed. It must not be called concurrently.
func (l *Slot) Within(ctx context.Context, address string, connect func() (net.Conn, error)) (net.Conn, error) {
	stray := fmt.Errorf("dial %s: %w", address, ErrStray)
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
				Discard(conn)
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
