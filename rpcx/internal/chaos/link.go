package chaos

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// oversized is the beginning of a gob message of 2 GiB less one byte. To JSON it
// is nonsense.
var oversized = []byte{0xfc, 0x7f, 0xff, 0xff, 0xff}

// A link is one client's connection and the one to the server that belongs to it.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	lost           atomic.Bool // nothing arrives any more
	once           sync.Once
	done           chan struct{} // closed when it is over

	mu    sync.Mutex // protects following
	rng   *rand.Rand
	quota int // bytes until a Reset
}

// pump carries bytes from src to dst until either ends; up is from the client.
func (l *link) pump(dst, src net.Conn, up bool) {
	defer l.close()
	buf := make([]byte, 4<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !l.pass(dst, buf[:n], up) || err != nil {
			return
		}
	}
}

// pass sends b on as the proxy's fault has it. It returns false when the link is
// over.
func (l *link) pass(dst net.Conn, b []byte, up bool) bool {
	for {
		f, change := l.proxy.state()
		switch {
		case l.lost.Load():
			return true
		case f == Stall, f == Mute && !up:
			select {
			case <-change:
				continue
			case <-l.done:
				return false
			}
		case f == Drip && len(b) > 1:
			if _, err := dst.Write(b[:1]); err != nil || !l.rest(time.Millisecond) {
				return false
			}
			b = b[1:]
			continue
		case f == Delay:
			if !l.rest(100 * time.Millisecond) {
				return false
			}
		case f == Corrupt:
			l.flip(b)
		case f == Reset && l.spent(len(b)):
			l.reset()
			return false
		}
		_, err := dst.Write(b)
		return err == nil
	}
}

// rest waits, and reports whether the link has survived it.
func (l *link) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.done:
		return false
	}
}

// flip changes one bit in every fourth piece.
func (l *link) flip(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rng.IntN(4) == 0 {
		b[l.rng.IntN(len(b))] ^= 1 << l.rng.IntN(8)
	}
}

// spent reports whether n more bytes are too many.
func (l *link) spent(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quota -= n
	return l.quota < 0
}

// reset ends both connections with RST.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		abort(l.client)
		abort(l.server)
	})
}

// close ends both connections as a program does that is done.
func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.client.Close()
		l.server.Close()
	})
}

// end takes the link off the proxy's list.
func (l *link) end() {
	l.close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.links, l)
}
