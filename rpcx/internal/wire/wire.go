// Package wire is the write path of one connection, and the byte side of its read path.
//
// It guarantees:
//   - A Write goes to memory and never blocks. What has been written leaves with the next
//     flush; frames that become ready together leave together, and one goroutine at a time
//     writes to the connection, under no lock.
//   - Of each byte it is known whether it can have left this process ([Wire.UnsentFrom]).
//   - The end of a wire waits for the writer and the reader with a bound, whatever the
//     connection does.
//
// It knows connections and bytes: no codec but the interfaces of package codec, no
// exchange, no client and no server.
package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

const (
	// highWater is how many bytes may wait in memory before writers have to.
	highWater = 1 << 20
	// keepBuffer is the largest buffer that is kept for reuse in any case, and
	// keepLarge the largest that is kept while one of so many writes needs its size.
	keepBuffer = 64 << 10
	keepLarge  = 4 << 20
	keepWrites = 16
	// WriteStall is how long the kernel of a client may refuse bytes before the
	// connection is given up; the failure detector is usually faster.
	WriteStall = 10 * time.Second
)

// ErrClosed is the error of a read or write on a connection that has ended.
var ErrClosed = errors.New("rpcx: the connection is closed")

// Wire stands between a codec and its connection. Read has one caller at a time; all
// else is safe for concurrent use.
type Wire struct {
	conn io.ReadWriteCloser
	cfg  Config
	// kernel says that conn is a socket, whose buffers take a few bytes at once.
	kernel bool
	// exact says that of a write that a deadline has ended, the bytes that were taken are
	// known. Windows may have sent a part of what it reports as canceled.
	exact  bool
	peeker *peeker // nil if conn cannot be peeked at

	armed      bool         // a write deadline is set; the flusher's
	lastRead   time.Time    // the reader's
	readFailed bool         // the last one has; the reader's
	read       atomic.Int64 // offset up to which the peer has surely read
	queued     atomic.Int64 // bytes ever written into buf; changed under mu
	received   atomic.Int64 // bytes that ever came
	sent       atomic.Int64 // bytes that the connection has taken

	coalescing atomic.Bool   // a writer is in coalesce, and sends soon
	framing    atomic.Bool   // a frame is being written: it leaves whole
	full       atomic.Bool   // highWater is reached; changed under mu
	reader     atomic.Int32  // where the reader is: see readerOut
	readerLeft chan struct{} // closed when a reader that was locked out has come out

	mu       sync.Mutex    // protects following
	heads    heads         // of both directions
	buf      []byte        // waits to leave
	spare    []byte        // the other buffer, while it is not being written
	small    int           // writes since one has needed a quarter of its buffer
	frameEnd int64         // of the frame that is being written; 0 while unknown
	handed   int64         // of the bytes queued, those that can have left
	flushing bool          // a goroutine writes to the connection
	err      error         // the connection is over
	room     chan struct{} // closed when there is room again; nil if no writer waits
	rest     chan struct{} // closed when the flushing ends; nil if that is not waited for
}

// Config is what a wire needs from its user.
type Config struct {
	// Go starts a flusher.
	Go func(func())
	// Fail ends the connection after a write has failed. It is called with no lock held.
	Fail func(error)
	// Heard is called at every sign of life: bytes from the peer, and pieces of large
	// writes that it makes room for. It may be nil.
	Heard func(time.Time)
	// Stall is how long one write may take in the background; 0 is without limit.
	Stall time.Duration
}

// New returns a wire over a connection.
func New(conn io.ReadWriteCloser, cfg Config) *Wire {
	w := &Wire{
		conn: conn, cfg: cfg, exact: runtime.GOOS != "windows", peeker: newPeeker(conn), readerLeft: make(chan struct{}),
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.kernel = true
	}
	return w
}

// Read reads from the connection; the codec's reader is its only caller.
func (w *Wire) Read(p []byte) (int, error) {
	if !w.reader.CompareAndSwap(readerOut, readerIn) {
		w.readFailed = true
		return 0, ErrClosed
	}
	n, err := w.conn.Read(p)
	if !w.reader.CompareAndSwap(readerIn, readerOut) {
		close(w.readerLeft)
	}
	if before := w.received.Add(int64(n)) - int64(n); before < headSize && n > 0 {
		w.keepReceived(p[:n])
	}
	if n > 0 && w.cfg.Heard != nil {
		w.lastRead = time.Now()
		w.cfg.Heard(w.lastRead)
	}
	w.readFailed = err != nil
	return n, err
}

// ReadFailed reports whether the last read has failed. The reader may ask.
func (w *Wire) ReadFailed() bool { return w.readFailed }

// LastRead is when the last bytes came. The reader may ask.
func (w *Wire) LastRead() time.Time { return w.lastRead }

// IsReading reports whether the reader waits for bytes.
func (w *Wire) IsReading() bool { return w.reader.Load() == readerIn }

// Received is the number of bytes that ever came.
func (w *Wire) Received() int64 { return w.received.Load() }

// Sent is the number of bytes that the connection has taken.
func (w *Wire) Sent() int64 { return w.sent.Load() }

// Queued is the number of bytes that were ever written, sent or not.
func (w *Wire) Queued() int64 { return w.queued.Load() }

// Write takes p over in memory. Outside of a frame (a codec that greets its
// server, say) it sees to it that p leaves.
func (w *Wire) Write(p []byte) (int, error) {
	if err := w.queue(p, false); err != nil {
		return 0, err
	}
	if !w.framing.Load() {
		w.Flush(false)
	}
	return len(p), nil
}

// WriteFrame implements codec.FrameWriter: p is the frame that is being written,
// all of it and nothing else.
func (w *Wire) WriteFrame(p []byte) (int, error) {
	if err := w.queue(p, true); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *Wire) queue(p []byte, frame bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = append(w.buf, p...)
	end := w.queued.Add(int64(len(p)))
	if end-int64(len(p)) < headSize {
		w.heads.keep(&w.heads.sent, p)
	}
	if frame && w.frameEnd == 0 { // that of a second one would be beyond the first
		w.frameEnd = end
	}
	if len(w.buf) >= highWater {
		w.full.Store(true)
	}
	return nil
}

// Cancel implements codec.Canceler, if the connection does.
func (w *Wire) Cancel(seq uint64) bool {
	conn, ok := w.conn.(codec.Canceler)
	return ok && conn.Cancel(seq)
}

// BeginFrame marks the beginning of a frame and returns its offset. Frames are written
// one at a time.
func (w *Wire) BeginFrame() int64 {
	w.framing.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frameEnd = 0
	return w.queued.Load()
}

// EndFrame marks the end of a frame. It returns the offset at which the frame ends,
// or 0 if that is unknown: a codec may write other things meanwhile, or later. It does
// not flush.
func (w *Wire) EndFrame() int64 {
	w.framing.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frameEnd
}

// UnsentFrom reports whether no byte at or behind offset can have left. It is
// final once the wire is stopped.
func (w *Wire) UnsentFrom(offset int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handed <= offset
}

// HasRead notes that the peer has answered the frame that began at offset,
// so that it has read all that went before.
func (w *Wire) HasRead(offset int64) {
	for {
		old := w.read.Load()
		if offset <= old || w.read.CompareAndSwap(old, offset) {
			return
		}
	}
}

// Full reports whether as much waits in memory as may: the peer does not read.
func (w *Wire) Full() bool { return w.full.Load() }

// Wait waits while the wire is full.
func (w *Wire) Wait(ctx context.Context) error {
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

// makeRoom lets writers go on. The caller holds mu.
func (w *Wire) makeRoom() {
	w.full.Store(false)
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// Busy reports whether anything waits to be written.
func (w *Wire) Busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushing || len(w.buf) > 0
}
