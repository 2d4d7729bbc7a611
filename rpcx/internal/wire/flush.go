package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"
)

const (
	// inlineLimit is how many bytes may be on their way unread, as far as the
	// replies tell, for a caller to write to the socket itself: so few that
	// socket buffers hold them, and the write cannot block.
	inlineLimit = 8 << 10
	// pieceSize is how much is written at once, and layerPiece where a write that a deadline
	// has ended cannot be gone on with, as one of a layer such as TLS.
	pieceSize  = 256 << 10
	layerPiece = 16 << 10
	// lastTry is how long a write is tried once more whose time is up.
	lastTry = time.Second
)

// Flush sees to it that what was written leaves. It does not wait for the peer:
// where the write could block, another goroutine does it. Crowded says that others may
// be about to write.
func (w *Wire) Flush(crowded bool) {
	here := w.kernel && w.queued.Load()-w.read.Load() <= inlineLimit
	if here && crowded && !w.coalesce() {
		return
	}
	w.Send(here)
}

// coalesce lets other goroutines write that are about to, so that it all leaves together.
// It returns false if another one is at it already: its write includes ours.
func (w *Wire) coalesce() bool {
	if w.coalescing.Swap(true) {
		return false
	}
	runtime.Gosched()
	w.coalescing.Store(false)
	return true
}

// Send carries what was written to the connection, unless a goroutine is at it
// already: here if it is little, so that the caller loses no time, and in another
// goroutine otherwise.
func (w *Wire) Send(here bool) {
	w.mu.Lock()
	if w.flushing || len(w.buf) == 0 || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.flushing = true
	if !here || len(w.buf) > inlineLimit {
		w.mu.Unlock()
		w.cfg.Go(func() {
			runtime.Gosched() // as in coalesce, or it runs before those that are about to write
			w.writeAll()
		})
		return
	}
	out := w.take()
	w.mu.Unlock()
	if w.write(out, 0) && w.more() {
		w.cfg.Go(w.writeAll)
	}
}

// Drain waits until all that was written has left, or the connection is over.
func (w *Wire) Drain() {
	for {
		w.mu.Lock()
		if w.err != nil || !w.flushing && len(w.buf) == 0 {
			w.mu.Unlock()
			return
		}
		if w.rest == nil {
			w.rest = make(chan struct{})
		}
		rest := w.rest
		w.mu.Unlock()
		w.Send(true)
		<-rest
	}
}

// atRest ends the flushing. The caller holds mu.
func (w *Wire) atRest() {
	w.flushing = false
	if w.rest != nil {
		close(w.rest)
		w.rest = nil
	}
}

// writeAll writes until nothing waits.
func (w *Wire) writeAll() {
	for w.more() {
		w.mu.Lock()
		out := w.take()
		w.mu.Unlock()
		if !w.write(out, w.cfg.Stall) {
			return
		}
	}
}

// more reports whether anything waits; if not, the flushing is over.
func (w *Wire) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 && w.err == nil {
		return true
	}
	w.atRest()
	return false
}

// take returns what waits, and counts its first piece as handed to the connection. The
// caller holds mu.
func (w *Wire) take() []byte {
	out := w.buf
	w.buf, w.spare = w.spare[:0], nil
	w.handed += int64(min(len(out), w.mostAtOnce()))
	w.makeRoom()
	return out
}

// mostAtOnce is the size of a piece.
func (w *Wire) mostAtOnce() int {
	if w.kernel && w.exact {
		return pieceSize
	}
	return layerPiece
}

// hand counts another piece as handed to the connection, unless that is over: then it
// never leaves.
func (w *Wire) hand(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		w.atRest()
		return false
	}
	w.handed += int64(n)
	return true
}

// write carries out to the connection, in pieces whose progress can be seen.
func (w *Wire) write(out []byte, stall time.Duration) bool {
	handed := min(len(out), w.mostAtOnce()) // of rest
	for rest := out; len(rest) > 0; {
		n, err := w.carry(rest[:handed], stall)
		w.sent.Add(int64(n))
		if err != nil {
			w.unwritten(handed-n, err)
			w.cfg.Fail(err)
			return false
		}
		rest, handed = rest[n:], handed-n
		if len(rest) == 0 {
			break
		}
		if w.cfg.Heard != nil {
			w.cfg.Heard(time.Now())
		}
		more := min(len(rest), w.mostAtOnce()) - handed
		if !w.hand(more) {
			return false
		}
		handed += more
	}
	w.reuse(out)
	return true
}

// IsTimeout reports whether a deadline has ended a read or a write.
func IsTimeout(err error) bool {
	if err == nil {
		return false
	}
	var says net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &says) && says.Timeout()
}

// carry writes one piece, or, if a deadline ends the write, as much as could be: bytes
// that the connection has taken are progress, and only without any, or if their number is
// not exact, is it an error. The kernel reports room in its buffer only when there is a lot of
// it, so it is asked again. A panic of the connection is an error of it: this may be a goroutine
// of ours, in which the connection's owner could not recover.
func (w *Wire) carry(piece []byte, stall time.Duration) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rpcx: the connection's Write panicked: %v", p)
		}
	}()
	if err := w.arm(stall); err != nil {
		return 0, err
	}
	if n, err = w.push(piece); !IsTimeout(err) || !w.exact {
		return n, err
	}
	if over := w.arm(lastTry); over != nil || !w.armed {
		return n, err
	}
	more, err := w.push(piece[n:])
	if n += more; n > 0 && IsTimeout(err) {
		return n, nil
	}
	return n, err
}

func (w *Wire) push(piece []byte) (int, error) {
	n, err := w.conn.Write(piece)
	if err == nil && n < len(piece) {
		err = io.ErrShortWrite
	}
	return n, err
}

// arm bounds the next write, if the connection has deadlines, and lifts the bound
// of an earlier one for a write that has none. It returns an error if the connection
// is over: then the deadline that ends its writes may just have been overwritten.
func (w *Wire) arm(stall time.Duration) error {
	if stall == 0 && !w.armed {
		return nil
	}
	var at time.Time
	if stall > 0 {
		at = time.Now().Add(stall)
	}
	w.armed = w.writeBy(at) && stall > 0 // a connection without deadlines has the detector
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// unwritten takes back what never left: of the piece that failed with err, the bytes that the
// connection did not accept. For that only a socket's word is taken: a layer above one
// may have sent them on.
func (w *Wire) unwritten(n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kernel && (w.exact || !IsTimeout(err)) {
		w.handed -= int64(n)
	}
	if w.err == nil {
		w.err = ErrClosed
	}
	w.atRest()
}

// reuse keeps a buffer for later. Package codec has a like rule for its own.
func (w *Wire) reuse(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.small++; len(b) > cap(b)/4 {
		w.small = 0
	}
	if cap(b) <= keepBuffer || cap(b) <= keepLarge && w.small < keepWrites {
		w.spare = b[:0]
	}
}
