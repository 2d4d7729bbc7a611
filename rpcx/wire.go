package rpcx

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inlineLimit is how many bytes may be on their way unread, as far as the
	// replies tell, for a caller to write to the socket itself: so few that
	// socket buffers hold them, and the write cannot block.
	inlineLimit = 8 << 10
	// highWater is how many bytes may wait in memory before callers have to.
	highWater = 1 << 20
	// keepBuffer is the largest buffer kept for reuse after a large frame.
	keepBuffer = 64 << 10
	// writeStall is how long the kernel may refuse bytes before the connection
	// is given up; the detector is usually faster.
	writeStall = 10 * time.Second
)

// errClosedWire is what a codec gets that writes to a connection that is over.
var errClosedWire = errors.New("rpcx: the connection is closed")

// wire stands between a codec and its connection. Writes go to memory and never
// block; whoever has written calls flush, and one goroutine at a time carries to
// the connection all that has gathered. So no lock is ever held during a write,
// calls that become ready together leave together, and it is known of each byte
// whether it can have left.
type wire struct {
	conn io.ReadWriteCloser
	// kernel says that conn is a socket, whose buffers take a few bytes at once.
	kernel bool
	start  func(func()) // starts a goroutine that the client waits for
	fail   func(error)  // ends the connection; called with no lock held
	read   atomic.Int64 // offset up to which the peer has surely read
	queued atomic.Int64 // bytes ever written into buf; changed under mu
	corked atomic.Bool  // a request is being written: it leaves whole
	full   atomic.Bool  // highWater is reached; changed under mu

	mu       sync.Mutex    // protects following
	buf      []byte        // waits to leave
	spare    []byte        // the other buffer, while it is not being written
	handed   int64         // of the bytes queued, those that can have left
	flushing bool          // a goroutine is in drain
	err      error         // the connection is over
	room     chan struct{} // closed when callers may write again; nil if none waits
	rest     chan struct{} // closed when the flushing ends; nil if none waits
}

func newWire(conn io.ReadWriteCloser, start func(func()), fail func(error)) *wire {
	w := &wire{conn: conn, start: start, fail: fail}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.kernel = true
	}
	return w
}

// Read reads from the connection; the codec's reader is its only caller.
func (w *wire) Read(p []byte) (int, error) { return w.conn.Read(p) }

// Write takes p over in memory. Outside of a request (a codec that greets its
// server, say) it sees to it that p leaves.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return 0, w.err
	}
	w.buf = append(w.buf, p...)
	w.queued.Add(int64(len(p)))
	if len(w.buf) >= highWater {
		w.full.Store(true)
	}
	w.mu.Unlock()
	if !w.corked.Load() {
		w.flush()
	}
	return len(p), nil
}

// Close ends the connection; what waits in memory never leaves.
func (w *wire) Close() error {
	w.stop(errClosedWire)
	return w.conn.Close()
}

// stop makes sure that no byte leaves from now on.
func (w *wire) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.buf = nil
	w.makeRoom()
}

// cork marks the beginning of a request and returns its offset.
func (w *wire) cork() int64 {
	w.corked.Store(true)
	return w.queued.Load()
}

// uncork marks the end of a request and returns its offset. It does not flush:
// its caller holds net/rpc's locks.
func (w *wire) uncork() int64 {
	w.corked.Store(false)
	return w.queued.Load()
}

// unsentFrom reports whether no byte at or behind offset can have left. It is
// final once the wire is stopped.
func (w *wire) unsentFrom(offset int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handed <= offset
}

// answered notes that the peer has answered the request that began at offset,
// so that it has read all that went before.
func (w *wire) answered(offset int64) {
	for {
		old := w.read.Load()
		if offset <= old || w.read.CompareAndSwap(old, offset) {
			return
		}
	}
}

// wait blocks while too much waits in memory, which means that the peer does
// not read.
func (w *wire) wait(ctx context.Context) error {
	for w.full.Load() {
		w.mu.Lock()
		if len(w.buf) < highWater || w.err != nil {
			w.mu.Unlock()
			return nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (w *wire) makeRoom() {
	w.full.Store(false)
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// flush sees to it that what was written leaves. It does not wait for the peer:
// where the write could block, another goroutine does it.
func (w *wire) flush() {
	here := w.kernel && w.queued.Load()-w.read.Load() <= inlineLimit
	if here {
		runtime.Gosched() // others who are about to write then leave with us
	}
	w.send(here)
}

// send carries what was written to the connection, here or in another goroutine,
// unless one is at it already.
func (w *wire) send(here bool) {
	w.mu.Lock()
	if w.flushing || len(w.buf) == 0 || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.flushing = true
	small := len(w.buf) <= inlineLimit
	w.mu.Unlock()
	switch {
	case here && small:
		w.drain(0)
	case here:
		w.drain(writeStall)
	default:
		w.start(func() {
			runtime.Gosched() // as in flush, or it runs before those who are about to write
			w.drain(writeStall)
		})
	}
}

// settle waits until all that was written has left, or the connection is over.
func (w *wire) settle() {
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
		w.send(true)
		<-rest
	}
}

// atRest ends the flushing. The caller holds mu.
func (w *wire) atRest() {
	w.flushing = false
	if w.rest != nil {
		close(w.rest)
		w.rest = nil
	}
}

// drain writes until nothing waits. stall bounds each write, if the connection
// has deadlines; 0 for no bound.
func (w *wire) drain(stall time.Duration) {
	for {
		out := w.take()
		if out == nil {
			return
		}
		if stall > 0 {
			if d, ok := w.conn.(interface{ SetWriteDeadline(time.Time) error }); ok {
				d.SetWriteDeadline(time.Now().Add(stall)) //nolint:errcheck // a conn without deadlines has the detector
			}
		}
		n, err := w.conn.Write(out)
		if err == nil && n < len(out) {
			err = io.ErrShortWrite
		}
		if err != nil {
			w.unwritten(len(out) - n)
			w.fail(err)
			return
		}
		w.give(out)
	}
}

// take returns what waits and counts it as gone, or ends the flushing.
func (w *wire) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) == 0 || w.err != nil {
		w.atRest()
		return nil
	}
	out := w.buf
	w.buf, w.spare = w.spare[:0], nil
	w.handed += int64(len(out))
	w.makeRoom()
	return out
}

// unwritten takes back the last n bytes that a failed write did not accept. Only
// a socket's word is taken for that: a layer above one may have sent them on.
func (w *wire) unwritten(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kernel {
		w.handed -= int64(n)
	}
	if w.err == nil {
		w.err = errClosedWire
	}
	w.atRest()
}

// give returns a buffer for reuse.
func (w *wire) give(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(b) <= keepBuffer {
		w.spare = b[:0]
	}
}
