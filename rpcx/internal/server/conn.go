package server

import (
	"io"
	"net"
	"net/rpc"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

const (
	// refuseFor is how long a connection that is retired waits for requests to refuse: two
	// slots of a client's pings.
	refuseFor = 2 * time.Second
	// lingerFor is how long it is read after that, so that data on its way does not
	// make the kernel reset it and discard its last replies.
	lingerFor = 500 * time.Millisecond
)

// conn is one connection. It coalesces replies, and refuses requests once it is
// retired. Of its workers one reads at a time: see work.
type conn struct {
	*serving
	nc      net.Conn
	stream  *stream
	codec   rpc.ServerCodec
	ahead   codec.ReadAhead // codec, if it can tell
	refuser codec.Refuser   // codec, if it marks refusals itself

	metas   codec.MetaServer      // codec, if it carries metadata
	first   int64                 // when the first request was read, which begins the time of the connection: see stream.now; the reader's
	clocked atomic.Int64          // the last time of it that a reply has had
	lost    atomic.Pointer[error] // why the replies are of no use; nil while they may be
	count   atomic.Uint64         // requests read, pings included
	session *session              // nil if its client has not asked for it; protected by memory.mu

	admitted  bool // it counts against MaxConns; protected by serving.mu
	idleLooks int  // looks in a row that saw nothing to do; protected by serving.mu
	seen      sight

	workers atomic.Int64  // goroutines, of which one reads until there is no more to read
	next    chan struct{} // hands the reading to the spare worker; closed when there is no more
	spare   atomic.Bool   // there is one: a worker that receives from next, or soon does
	kept    kept

	sending sync.Mutex   // held while codec takes a reply
	pending atomic.Int64 // requests read and not answered
	running atomic.Int64 // of these, those that are not refused

	requests atomic.Int64                     // ever read, but for pings
	calls    atomic.Int64                     // of the pending, but for pings
	retired  atomic.Pointer[protocol.Refusal] // why requests are refused; nil if they are not
	ending   atomic.Bool
}

func newConn(s *serving, nc net.Conn) *conn {
	c := &conn{serving: s, nc: nc, next: make(chan struct{})}
	c.stream = newStream(wire.New(nc, wire.Config{Go: s.wg.Go, Fail: c.fail}))
	return c
}

// serve is the first worker.
func (c *conn) serve() {
	if !c.makeCodec() {
		c.finish()
		return
	}
	c.ahead, _ = c.codec.(codec.ReadAhead)
	c.refuser, _ = c.codec.(codec.Refuser)
	c.useMeta()
	c.workers.Add(1)
	c.work()
}

// makeCodec returns false if there is none.
func (c *conn) makeCodec() bool {
	if !c.cfg.CrashOnPanic {
		defer c.recoverCodec("new codec")
	}
	c.codec = c.cfg.NewCodec(c.stream)
	return c.codec != nil
}

// recoverCodec is deferred: a panic of the codec outside of any request ends its
// connection only.
func (c *conn) recoverCodec(doing string) {
	if reason := recover(); reason != nil {
		c.log.Error("rpc codec panicked", "doing", doing, "panic", reason, "stack", string(debug.Stack()))
		c.abort(wire.ErrClosed)
	}
}

// begin counts a request that was just read, and returns the reason if it is refused. Questions
// about calls are answered as long as the connection is read: they may free its place.
func (c *conn) begin(asks bool) (refused *protocol.Refusal) {
	c.pending.Add(1)
	c.running.Add(1) // before looking, so that retire sees this request or this sees the reason
	c.serving.running.Add(1)
	if refused = c.retired.Load(); refused != nil && asks && refused.Retires() {
		return nil
	}
	if refused != nil {
		c.counters.Refused.Add(1)
		c.done()
	}
	return refused
}

// done ends the running of a request, and of the connection if it waited for that.
func (c *conn) done() {
	c.serving.running.Add(-1)
	c.running.Add(-1)
	if c.retired.Load() != nil {
		c.endIfIdle()
	}
}

// busy reports whether anything but pings has not been answered.
func (c *conn) busy() bool { return c.calls.Load() > 0 }

// write waits for room first: replies that wait for it are not encoded. Nor are, once the
// connection has ended, those that are not kept. It returns the length of the reply.
func (c *conn) write(r *rpc.Response, m *codec.ResponseMeta, body any, refused, kept bool) (size int64, err error) {
	c.lockRoom()
	defer c.sending.Unlock()
	if !kept && c.stream.Over() {
		return 0, wire.ErrClosed
	}
	from := c.stream.written.Load()
	c.stream.BeginFrame()
	defer func() {
		c.stream.EndFrame()
		size = c.stream.written.Load() - from
	}()
	if refused && c.refuser != nil {
		return 0, c.refuser.Refuse(r)
	}
	if m != nil {
		return 0, c.metas.WriteResponseMeta(r, m, body)
	}
	return 0, c.codec.WriteResponse(r, body)
}

// lockRoom locks sending when there is room for a reply. It does not wait under the lock.
func (c *conn) lockRoom() {
	for c.sending.Lock(); c.stream.Full(); c.sending.Lock() {
		c.sending.Unlock()
		c.stream.awaitRoom()
	}
}

// The end of a connection:
//
//	state    event                                next
//	open     retire                               retired: requests are refused
//	open     the client closes, or a read fails   closing
//	retired  no request runs                      ending: read for refuseFor
//	ending   that is over, or the client closes   closing: replies leave, lingerFor
//	any      fail, abort                          closed at once
//	closing  the last worker ends                 closed

// retire refuses further requests, and ends the connection in order.
func (c *conn) retire(why *protocol.Refusal) {
	c.retired.CompareAndSwap(nil, why)
	c.endIfIdle()
}

// endIfIdle sees to it, once, that the reading of a retired connection ends soon after
// its last request has run.
func (c *conn) endIfIdle() {
	if c.running.Load() == 0 && c.ending.CompareAndSwap(false, true) {
		c.nc.SetReadDeadline(time.Now().Add(refuseFor)) //nolint:errcheck // without it, the client ends the reading
	}
}

// fail ends the connection after a write has failed.
func (c *conn) fail(err error) {
	if wire.IsTimeout(err) {
		c.log.Warn("connection closed: its client does not read", "remote", c.nc.RemoteAddr())
	}
	c.abort(wire.ErrClosed)
}

// abort ends the connection at once, whatever runs or waits on it.
func (c *conn) abort(err error) {
	c.lose(errLost)
	c.stream.Stop(err)
	c.nc.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // it ends what Close does not
	c.nc.Close()                      //nolint:errcheck // there is nothing to do about it
}

// finish ends the connection with its last worker: there is nothing more to read, and
// every request has been answered.
func (c *conn) finish() {
	c.close()
	c.memory.close(c)
	c.remove(c)
	c.wg.Done()
}

// close sends what waits, and closes the connection.
func (c *conn) close() {
	c.stream.Drain()
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && c.retired.Load() != nil && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(lingerFor)) //nolint:errcheck // then it lingers as long as the client
		io.Copy(io.Discard, c.nc)                       //nolint:errcheck // only its end counts
	}
	if c.codec == nil {
		c.nc.Close() //nolint:errcheck // there is nothing to do about it
		return
	}
	if !c.cfg.CrashOnPanic {
		defer c.recoverCodec("close")
	}
	c.codec.Close() //nolint:errcheck // likewise
}
