package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

const (
	// inlineLimit is how many bytes may be on their way unread, as far as the
	// replies tell, for a caller to write to the socket itself: so few that
	// socket buffers hold them, and the write cannot block.
	inlineLimit = 8 << 10
	// highWater is how many bytes may wait in memory before callers have to.
	highWater = 1 << 20
	// keepBuffer is the largest buffer that is kept for reuse in any case, and
	// keepLarge the largest that is while one of so many writes needs its size.
	keepBuffer = 64 << 10
	keepLarge  = 4 << 20
	keepWrites = 16
	// pieceSize is how much is written at once, and layerPiece to what is no socket: of a
	// layer such as TLS, a write that a deadline has ended cannot be gone on with.
	pieceSize  = 256 << 10
	layerPiece = 16 << 10
	// writeStall is how long the kernel may refuse bytes before the connection
	// is given up; the detector is usually faster.
	writeStall = 10 * time.Second
	// lastTry is how long a write is tried once more whose time is up.
	lastTry = time.Second
)

// errFull is what an attempt gets that others outran to the room in memory.
var errFull = errors.New("rpcx: too much waits to be written")

// errClosedWire is what a codec gets that writes to a connection that is over.
var errClosedWire = errors.New("rpcx: the connection is closed")

// wire stands between a codec and its connection. Writes go to memory and never
// block; whoever has written calls flush, and one goroutine at a time carries to
// the connection all that has gathered. So no lock is ever held during a write,
// calls that become ready together leave together, and it is known of each byte
// whether it can have left. How a wire ends is in wireclose.go.
type wire struct {
	conn io.ReadWriteCloser
	// kernel says that conn is a socket, whose buffers take a few bytes at once.
	kernel bool
	start  func(func()) // starts a flusher
	fail   func(error)  // ends the connection; called with no lock held
	// heard is told of every sign of life: bytes from the peer, and pieces of large
	// writes that it makes room for. Nil on the server's side.
	heard  func(time.Time)
	stall  time.Duration // how long one write may take in the background; 0 for ever
	armed  bool          // a write deadline is set; belongs to who is flushing
	now    time.Time     // of the last read; belongs to the reader
	read   atomic.Int64  // offset up to which the peer has surely read
	queued atomic.Int64  // bytes ever written into buf; changed under mu
	// received is the bytes that ever came, and sent those that the connection has taken.
	received, sent atomic.Int64
	// gathering says that somebody is in gather, and sends soon.
	gathering atomic.Bool
	corked    atomic.Bool   // a request is being written: it leaves whole
	full      atomic.Bool   // highWater is reached; changed under mu
	reader    atomic.Int32  // where the reader is: see readerOut
	left      chan struct{} // closed when a reader that was locked out has come out

	mu       sync.Mutex    // protects following
	buf      []byte        // waits to leave
	spare    []byte        // the other buffer, while it is not being written
	small    int           // writes since one has needed a quarter of its buffer
	frameEnd int64         // of the request that is being written; 0 while unknown
	handed   int64         // of the bytes queued, those that can have left
	flushing bool          // a goroutine is in drain
	err      error         // the connection is over
	room     chan struct{} // closed when callers may write again; nil if none waits
	rest     chan struct{} // closed when the flushing ends; nil if none waits
}

func newWire(conn io.ReadWriteCloser, start func(func()), fail func(error)) *wire {
	w := &wire{conn: conn, start: start, fail: fail, left: make(chan struct{})}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.kernel = true
	}
	return w
}

// Read reads from the connection; the codec's reader is its only caller.
func (w *wire) Read(p []byte) (int, error) {
	if !w.reader.CompareAndSwap(readerOut, readerIn) {
		return 0, errClosedWire
	}
	n, err := w.conn.Read(p)
	if !w.reader.CompareAndSwap(readerIn, readerOut) {
		close(w.left)
	}
	w.received.Add(int64(n))
	if n > 0 && w.heard != nil {
		w.now = time.Now()
		w.heard(w.now)
	}
	return n, err
}

// Write takes p over in memory. Outside of a request (a codec that greets its
// server, say) it sees to it that p leaves.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.queue(p, false); err != nil {
		return 0, err
	}
	if !w.corked.Load() {
		w.flush(false)
	}
	return len(p), nil
}

// Cancel implements codec.Canceler, if the connection does.
func (w *wire) Cancel(seq uint64) bool {
	conn, ok := w.conn.(codec.Canceler)
	return ok && conn.Cancel(seq)
}

// WriteFrame implements codec.FrameWriter: p is the request that is being written,
// all of it and nothing else.
func (w *wire) WriteFrame(p []byte) (int, error) {
	if err := w.queue(p, true); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *wire) queue(p []byte, frame bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = append(w.buf, p...)
	end := w.queued.Add(int64(len(p)))
	if frame && w.frameEnd == 0 { // that of a second one would be beyond the first
		w.frameEnd = end
	}
	if len(w.buf) >= highWater {
		w.full.Store(true)
	}
	return nil
}

// cork marks the beginning of a request and returns the offset from which on it is
// written.
func (w *wire) cork() int64 {
	w.corked.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frameEnd = 0
	return w.queued.Load()
}

// uncork marks the end of a request. It returns the offset at which the request ends,
// or 0 if that is unknown: a codec may write on its own meanwhile, or later. It does
// not flush: its caller holds net/rpc's locks.
func (w *wire) uncork() int64 {
	w.corked.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frameEnd
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
			return nil //nolint:nilerr // the write that follows returns it
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
// where the write could block, another goroutine does it. Crowd says that others may
// be about to write.
func (w *wire) flush(crowd bool) {
	here := w.kernel && w.queued.Load()-w.read.Load() <= inlineLimit
	if here && crowd && !w.gather() {
		return
	}
	w.send(here)
}

// gather lets others write who are about to, so that it leaves together. It returns
// false if somebody is at it already, who takes along what was written before.
func (w *wire) gather() bool {
	if w.gathering.Swap(true) {
		return false
	}
	runtime.Gosched()
	w.gathering.Store(false)
	return true
}

// send carries what was written to the connection, unless a goroutine is at it
// already: here if it is little, so that whoever waits for it loses no time, and
// in another goroutine otherwise.
func (w *wire) send(here bool) {
	w.mu.Lock()
	if w.flushing || len(w.buf) == 0 || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.flushing = true
	if !here || len(w.buf) > inlineLimit {
		w.mu.Unlock()
		w.start(func() {
			runtime.Gosched() // as in flush, or it runs before those who are about to write
			w.drain()
		})
		return
	}
	out := w.take()
	w.mu.Unlock()
	if w.write(out, 0) && w.more() {
		w.start(w.drain)
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

// drain writes until nothing waits.
func (w *wire) drain() {
	for w.more() {
		w.mu.Lock()
		out := w.take()
		w.mu.Unlock()
		if !w.write(out, w.stall) {
			return
		}
	}
}

// more reports whether anything waits; if not, the flushing is over.
func (w *wire) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 && w.err == nil {
		return true
	}
	w.atRest()
	return false
}

// take returns what waits and counts it as gone. The caller holds mu.
func (w *wire) take() []byte {
	out := w.buf
	w.buf, w.spare = w.spare[:0], nil
	w.handed += int64(len(out))
	w.makeRoom()
	return out
}

// write carries out to the connection, in pieces whose progress can be seen.
func (w *wire) write(out []byte, stall time.Duration) bool {
	most := pieceSize
	if !w.kernel {
		most = layerPiece
	}
	for rest := out; len(rest) > 0; {
		piece := rest[:min(len(rest), most)]
		n, err := w.carry(piece, stall)
		w.sent.Add(int64(n))
		if err != nil {
			w.unwritten(len(piece)-n, len(rest)-len(piece))
			w.fail(err)
			return false
		}
		if rest = rest[n:]; len(rest) > 0 && w.heard != nil {
			w.heard(time.Now())
		}
	}
	w.give(out)
	return true
}

// isTimeout reports whether a deadline has ended a read or a write.
func isTimeout(err error) bool {
	if err == nil {
		return false
	}
	var says net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &says) && says.Timeout()
}

// carry writes one piece, or, if a deadline ends the write, as much as could be: bytes
// that the connection has taken are progress, and only without any is it an error. The
// kernel tells of room in its buffer not before there is a lot of it, so it is asked again.
// A panic of the connection is an error of it: this may be a goroutine of ours, in
// which its owner could not recover.
func (w *wire) carry(piece []byte, stall time.Duration) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rpcx: the connection's Write panicked: %v", p)
		}
	}()
	if err := w.arm(stall); err != nil {
		return 0, err
	}
	if n, err = w.push(piece); !isTimeout(err) {
		return n, err
	}
	if over := w.arm(lastTry); over != nil || !w.armed {
		return n, err
	}
	more, err := w.push(piece[n:])
	if n += more; n > 0 && isTimeout(err) {
		return n, nil
	}
	return n, err
}

func (w *wire) push(piece []byte) (int, error) {
	n, err := w.conn.Write(piece)
	if err == nil && n < len(piece) {
		err = io.ErrShortWrite
	}
	return n, err
}

// arm bounds the next write, if the connection has deadlines, and lifts the bound
// of an earlier one for a write that has none. It returns an error if the connection
// is over: then the deadline that ends its writes may just have been overwritten.
func (w *wire) arm(stall time.Duration) error {
	if stall == 0 && !w.armed {
		return nil
	}
	var at time.Time
	if stall > 0 {
		at = time.Now().Add(stall)
	}
	w.armed = w.writeBy(at) && stall > 0 // a conn without deadlines has the detector
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// unwritten takes back what never left: the bytes after the piece that failed,
// and of the piece what the connection did not accept. For that only a socket's
// word is taken: a layer above one may have sent it on.
func (w *wire) unwritten(ofPiece, behind int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handed -= int64(behind)
	if w.kernel {
		w.handed -= int64(ofPiece)
	}
	if w.err == nil {
		w.err = errClosedWire
	}
	w.atRest()
}

// give returns a buffer for reuse. Package codec has a like rule for its own.
func (w *wire) give(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.small++; len(b) > cap(b)/4 {
		w.small = 0
	}
	if cap(b) <= keepBuffer || cap(b) <= keepLarge && w.small < keepWrites {
		w.spare = b[:0]
	}
}
