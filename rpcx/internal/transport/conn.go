package transport

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// Observer learns what happens on a connection. Its methods are called with no lock of the
// connection held but that of the writer, and must return quickly.
type Observer interface {
	// Heard is called at every sign of life of the peer.
	Heard(now time.Time)
	// Writing is called before a request is given to the codec.
	Writing(x *Exchange)
	// Wrote is called when the codec has taken a request, and before it leaves.
	Wrote(x *Exchange)
	// Received is called when the peer has answered a request, or, if answered is false,
	// when it is certain that it will not. Late says that the caller has left.
	Received(x *Exchange, now time.Time, answered, late bool)
	// Loaded is called when the peer has said how many requests it runs, the one that it
	// answers included unless that is a ping.
	Loaded(running int, now time.Time)
	// Retired is called once, when the connection takes no further exchanges, and, if it
	// ends otherwise, before its exchanges learn that.
	Retired()
	// Explain returns the cause of a connection's end, or an error that wraps it and says
	// more. It is called before the exchanges learn that, perhaps more than once.
	Explain(cause error) error
	// Closed is called once, when the connection has ended.
	Closed(cause error)
}

// Config is what a connection needs from its user.
type Config struct {
	Observer Observer
	// Given says that the connection belongs to the user: its end does not close it.
	Given bool
}

// The states of a connection.
type state uint8

const (
	open state = iota
	retiring
	closed
)

// Conn is one connection. It is safe for concurrent use once it is open, and must not be
// copied.
//
// Its goroutines: the reader, at times one flusher, and in the end one that closes the
// codec. Exchanges do not depend on them: the end of the connection ends them.
type Conn struct {
	cfg      Config
	codec    rpc.ClientCodec
	wire     *wire.Wire // nil if the user gave a codec
	whole    bool       // the codec reads whole frames: decoding does not wait for the network
	errors   codec.ErrorReader
	refusals codec.RefusalReader
	cut      interface{ CutShort() error } // nil if the codec returns no header of a reply that is cut short
	canceler codec.Canceler
	prefetch codec.Prefetcher // nil if a caller must not read
	peeks    bool             // there may be no reader while no exchange is in flight

	writing sync.Mutex    // held while the codec writes a request to the wire
	sem     chan struct{} // the same for a codec without a wire; has room for one
	request rpc.Request   // the writer's
	mute    atomic.Bool   // the codec takes no more requests

	reply reply // the reader's

	meta metadata

	mu          sync.Mutex // protects following
	state       state
	cause       error // of the end
	seq         uint64
	inflight    map[uint64]*Exchange // whose replies have not come
	live        int                  // of these, those that were not given up
	reading     readToken
	alone       int           // exchanges in a row that were started alone, by their callers
	parked      bool          // the reader goroutine waits on wake
	wake        chan bool     // to the reader goroutine: false ends it
	served      bool          // it has served a call since it was started
	active      bool          // there was an exchange since Tick
	waiting     bool          // the reader goroutine waits for the first bytes of a reply
	rested      bool          // Tick has ended that wait
	leaver      *Exchange     // whose caller reads, and may leave
	interrupted bool          // its read deadline has passed
	done        chan struct{} // closed when the connection has ended

	readerDone chan struct{} // closed when the reader goroutine has ended, if it is the only reader; else nil

	closing   sync.Once
	closeDone chan struct{} // closed when the codec has been
	closeErr  error         // what that returned; written before closeDone is closed
}

// Open starts a connection over rwc with the given codec. Conn is a part of its Observer,
// which may be called before Open returns. An error is makeCodec's: there is no connection,
// and rwc is left as it is.
func (c *Conn) Open(rwc io.ReadWriteCloser, makeCodec func(io.ReadWriteCloser) (rpc.ClientCodec, error), cfg Config) error {
	c.init(cfg)
	opened := make(chan struct{})
	defer close(opened)
	c.wire = wire.New(rwc, wire.Config{
		Go: func(f func()) { go f() }, Fail: c.failAfter(opened), Heard: cfg.Observer.Heard, Stall: wire.WriteStall,
	})
	inner, err := makeCodec(c.wire)
	if err != nil {
		c.wire.Stop(err)
		return err
	}
	c.start(inner)
	return nil
}

// failAfter returns Fail for a connection that may still be being opened, as it is when the
// greeting of a codec cannot be written: it ends once it is open, and if it never is, there is
// nothing to end.
func (c *Conn) failAfter(opened <-chan struct{}) func(error) {
	return func(err error) {
		select {
		case <-opened:
			c.Fail(err)
		default:
			go func() { // this may be the goroutine that makes the codec
				if <-opened; c.codec != nil {
					c.Fail(err)
				}
			}()
		}
	}
}

// OpenCodec is Open over a codec that the user made.
func (c *Conn) OpenCodec(codec rpc.ClientCodec, cfg Config) {
	c.init(cfg)
	c.start(codec)
}

func (c *Conn) init(cfg Config) {
	c.cfg = cfg
	c.sem, c.wake = make(chan struct{}, 1), make(chan bool, 1)
	c.inflight = make(map[uint64]*Exchange)
	c.done, c.closeDone = make(chan struct{}), make(chan struct{})
}

func (c *Conn) start(inner rpc.ClientCodec) {
	c.codec = inner
	c.meta.init(inner)
	_, c.whole = inner.(codec.WholeFrames)
	c.errors, _ = inner.(codec.ErrorReader)
	c.canceler, _ = inner.(codec.Canceler)
	c.refusals, _ = inner.(codec.RefusalReader)
	c.cut, _ = inner.(interface{ CutShort() error })
	if c.wire != nil && c.whole && c.wire.CanPeek() {
		c.prefetch, c.peeks = inner.(codec.Prefetcher)
	}
	if !c.peeks {
		c.reading, c.readerDone = byReader, make(chan struct{})
		go func() {
			defer close(c.readerDone)
			c.read()
		}()
	}
}

// Whole reports whether the codec is known to look at arguments and replies as those of
// this module do.
func (c *Conn) Whole() bool { return c.whole }

// Wire is nil if the user gave a codec.
func (c *Conn) Wire() *wire.Wire { return c.wire }

// Mute reports whether the codec takes no more requests.
func (c *Conn) Mute() bool { return c.mute.Load() }

// Load is the number of exchanges in flight, those that were given up excepted.
func (c *Conn) Load() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Cause is why the connection has ended. It is valid once Done is closed.
func (c *Conn) Cause() error { return c.cause }

// Dead reports whether the connection has ended.
func (c *Conn) Dead() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Takes reports whether the connection takes exchanges.
func (c *Conn) Takes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == open
}

// Decoding reports whether the holder of the read token is not waiting for bytes: a
// silence meanwhile is not the peer's.
func (c *Conn) Decoding() bool {
	if c.wire == nil || c.wire.IsReading() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading != byNone
}

// Retire has the connection take no further exchanges, and close when those in flight
// have ended.
func (c *Conn) Retire() {
	c.mu.Lock()
	was := c.state
	if was == open {
		c.state = retiring
	}
	idle := c.live == 0
	c.mu.Unlock()
	if was != open {
		return
	}
	c.cfg.Observer.Retired()
	if idle {
		c.Fail(wire.ErrClosed)
	}
}

// Fail ends the connection, with cause for all its exchanges. Given connections are
// closed by Close only, but read no further. It is called with no lock held, since the
// owners of exchanges are called.
func (c *Conn) Fail(cause error) {
	cause = c.cfg.Observer.Explain(cause)
	c.mu.Lock()
	was := c.state
	if was != closed {
		c.state, c.cause = closed, cause
	}
	c.mu.Unlock()
	if was == closed {
		return
	}
	if c.wire != nil {
		c.wire.Halt(wire.ErrClosed)
	}
	if was == open {
		c.cfg.Observer.Retired() // before the callers look for another connection
	}
	close(c.done)
	c.abort()
	switch {
	case !c.cfg.Given:
		c.Close()
	case c.wire != nil:
		go c.wire.Dismiss()
	}
	c.cfg.Observer.Closed(cause)
}

// abort ends all exchanges. The connection is closed: there come no more.
func (c *Conn) abort() {
	c.mu.Lock()
	lost := c.inflight
	c.inflight, c.live = nil, 0
	c.mu.Unlock()
	for _, x := range lost {
		c.lose(x)
	}
}

// lose ends an exchange with the connection, which has ended.
func (c *Conn) lose(x *Exchange) {
	out := Outcome{Cause: ConnectionLost, Err: c.cause, Sent: c.doubt(x)}
	if out.Sent == MaybeSent && x.kept {
		out.Call = x.position
	}
	c.finish(x, out, true)
}

// forget removes an exchange from those in flight. The caller holds mu.
func (c *Conn) forget(x *Exchange) {
	delete(c.inflight, x.seq)
	c.leave(x)
}

// leave counts an exchange no longer as a live one. The caller holds mu.
func (c *Conn) leave(x *Exchange) {
	if !x.uncounted {
		x.uncounted = true
		c.live--
	}
}

// Close begins to close the codec of a connection that has ended. That may take as long
// as it likes.
func (c *Conn) Close() {
	c.closing.Do(func() { go c.closeCodec() })
}

// CloseDone is closed when the codec has been closed.
func (c *Conn) CloseDone() <-chan struct{} { return c.closeDone }

// CloseErr is what closing the codec returned. It is valid once CloseDone is closed.
func (c *Conn) CloseErr() error { return c.closeErr }

// closeCodec closes the codec when it writes nothing, or has not come to an end of that
// within wire.LeaveWithin: then nothing else can free the writer. The same holds for a
// foreign codec that reads: there are codecs whose Close and reader share a variable. A panic is
// an error of the codec: its owner could not recover in this goroutine.
func (c *Conn) closeCodec() {
	defer close(c.closeDone)
	defer func() {
		if p := recover(); p != nil {
			c.closeErr = fmt.Errorf("rpcx: Close of the codec or its connection panicked: %v", p)
		}
	}()
	c.writerLeaves()
	if c.wire != nil && !c.cfg.Given { // whose Close would return the reader's error
		if leaves := c.wire.Dismiss(); leaves && !c.whole {
			wire.EndsBy(time.Now().Add(wire.LeaveWithin), c.readerDone)
		}
	}
	c.closeErr = c.codec.Close()
}

// writerLeaves waits for the end of the request that is being written, with a bound. The
// next writer finds the connection closed.
func (c *Conn) writerLeaves() {
	if c.wire == nil {
		select {
		case c.sem <- struct{}{}: // for good
		case <-time.After(wire.LeaveWithin):
		}
		return
	}
	if c.writing.TryLock() {
		c.writing.Unlock()
		return
	}
	out := make(chan struct{})
	go func() {
		c.writing.Lock()
		defer c.writing.Unlock()
		close(out)
	}()
	wire.EndsBy(time.Now().Add(wire.LeaveWithin), out)
}

// readError is the text and identity that net/rpc gives to a connection that ended.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
