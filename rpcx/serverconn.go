package rpcx

import (
	"io"
	"net"
	"net/rpc"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

const (
	// idling is how long a connection that is to leave waits for requests to refuse: two
	// slots of a client's pings.
	idling = 2 * time.Second
	// lingering is how long it is read after that, so that data on its way does not
	// make the kernel reset it and discard its last replies.
	lingering = 500 * time.Millisecond
)

// health is the answer to a ping.
type health struct {
	Running int // requests that run on the server now, the ping included
}

// serverConn is one connection of a server. It lets replies gather, and refuses
// requests when it is to leave. Its workers take turns: one reads a request and
// runs it, and another one reads on meanwhile.
type serverConn struct {
	*serving
	conn    net.Conn
	stream  *serverStream
	codec   rpc.ServerCodec
	ahead   codec.ReadAhead // codec, if it can tell
	refuser codec.Refuser   // codec, if it marks refusals itself

	placed bool // it counts against MaxConns; protected by serving.mu
	quiet  int  // looks in a row that saw nothing to do; protected by serving.mu
	seen   looks

	workers atomic.Int64  // goroutines, of which one reads until there is no more to read
	turn    chan struct{} // the spare worker is told here to read; closed when there is no more
	spare   atomic.Bool   // there is one: a worker that waits for its turn, or soon does

	sending sync.Mutex   // held while codec takes a reply
	pending atomic.Int64 // requests read and not answered
	running atomic.Int64 // of these, those that are not refused

	requests atomic.Int64            // ever read, but for pings
	pings    atomic.Int64            // of the pending
	leaving  atomic.Pointer[refusal] // why requests are refused; nil if they are not
	ending   atomic.Bool
}

func newServerConn(s *serving, conn net.Conn) *serverConn {
	c := &serverConn{serving: s, conn: conn, turn: make(chan struct{})}
	c.stream = newServerStream(wire.New(conn, wire.Config{Go: s.wg.Go, Fail: c.fail}))
	return c
}

// fail ends the connection after a write has failed.
func (c *serverConn) fail(err error) {
	if wire.IsTimeout(err) {
		c.log.Warn("connection closed: its client does not read", "from", c.conn.RemoteAddr())
	}
	c.abort(wire.ErrClosed)
}

// abort ends the connection at once, whatever runs or waits on it.
func (c *serverConn) abort(err error) {
	c.stream.Stop(err)
	c.conn.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // it ends what Close does not
	c.conn.Close()                      //nolint:errcheck // nobody is left to tell
}

// serve is the first worker.
func (c *serverConn) serve() {
	if !c.makeCodec() {
		c.over()
		return
	}
	c.ahead, _ = c.codec.(codec.ReadAhead)
	c.refuser, _ = c.codec.(codec.Refuser)
	c.workers.Add(1)
	c.work()
}

// makeCodec returns false if there is none.
func (c *serverConn) makeCodec() bool {
	if !c.cfg.CrashOnPanic {
		defer c.survive("new codec")
	}
	c.codec = c.newCodec(c.stream)
	return c.codec != nil
}

// survive keeps a panic of the codec, where no request is concerned, to its connection.
func (c *serverConn) survive(doing string) {
	if reason := recover(); reason != nil {
		c.log.Error("rpc codec panicked", "doing", doing, "panic", reason, "stack", string(debug.Stack()))
		c.abort(wire.ErrClosed)
	}
}

// work reads requests and runs them, for as long as it is needed. net/rpc's
// ServeCodec starts a goroutine for each of them, whose stack has to grow every time,
// and in which nobody could catch a panic.
func (c *serverConn) work() {
	q := &request{serverConn: c}
	defer q.leave() // whatever ends the goroutine, be it the method
	reserveStack(1)
	for {
		q.run()
		if !q.passed || !c.spare.CompareAndSwap(false, true) {
			return
		}
		if _, more := <-c.turn; !more {
			return
		}
	}
}

// pass has another worker read: the spare one, or else a new one.
func (c *serverConn) pass() {
	select {
	case c.turn <- struct{}{}:
		c.spare.Store(false)
	default:
		c.workers.Add(1)
		go c.work()
	}
}

// over ends the connection with its last worker: there is nothing more to read, and
// every request has been answered.
func (c *serverConn) over() {
	c.close()
	c.remove(c)
	c.wg.Done()
}

// reserveStack has the runtime enlarge the stack of a new goroutine once, while
// there is little on it, to what decoding takes; doubled on the way, from within
// encoding/json, it would cost a third of all the time.
//
//go:noinline
func reserveStack(i int) byte {
	var frame [6 << 10]byte
	frame[i] = 1
	return frame[i/2]
}

// begin counts a request that was just read, and says why it is refused, if it is.
func (c *serverConn) begin() (refused *refusal) {
	c.pending.Add(1)
	c.running.Add(1) // before looking, so that leave sees this request or this the leaving
	c.serving.running.Add(1)
	if refused = c.leaving.Load(); refused != nil {
		c.done()
	}
	return refused
}

// busy reports whether anything but pings has not been answered.
func (c *serverConn) busy() bool { return c.pending.Load() > c.pings.Load() }

// done ends the running of a request, and perhaps of the connection.
func (c *serverConn) done() {
	c.serving.running.Add(-1)
	c.running.Add(-1)
	if c.leaving.Load() != nil {
		c.endIfIdle()
	}
}

// write waits for room first: replies that wait for it are not encoded.
func (c *serverConn) write(r *rpc.Response, body any, refused bool) error {
	c.lockRoom()
	defer c.sending.Unlock()
	c.stream.BeginFrame()
	defer c.stream.EndFrame()
	if refused && c.refuser != nil {
		return c.refuser.Refuse(r)
	}
	return c.codec.WriteResponse(r, body)
}

// lockRoom locks sending when there is room for a reply. It does not wait under the lock.
func (c *serverConn) lockRoom() {
	for c.sending.Lock(); c.stream.Full(); c.sending.Lock() {
		c.sending.Unlock()
		c.stream.room()
	}
}

// leave has further requests refused, and the connection ended in order.
func (c *serverConn) leave(why *refusal) {
	c.leaving.CompareAndSwap(nil, why)
	c.endIfIdle()
}

// endIfIdle sees to it, once, that the reading ends soon after the last request
// has run of a connection that is to leave.
func (c *serverConn) endIfIdle() {
	if c.running.Load() == 0 && c.ending.CompareAndSwap(false, true) {
		c.conn.SetReadDeadline(time.Now().Add(idling)) //nolint:errcheck // without it, the client ends the reading
	}
}

// close lets what waits leave, and ends the connection.
func (c *serverConn) close() {
	c.stream.Drain()
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && c.leaving.Load() != nil && half.CloseWrite() == nil {
		c.conn.SetReadDeadline(time.Now().Add(lingering)) //nolint:errcheck // then it lingers as long as the client
		io.Copy(io.Discard, c.conn)                       //nolint:errcheck // its end is all that counts
	}
	if c.codec == nil {
		c.conn.Close() //nolint:errcheck // nobody is left to tell
		return
	}
	if !c.cfg.CrashOnPanic {
		defer c.survive("close")
	}
	c.codec.Close() //nolint:errcheck // likewise
}

// request is the codec that net/rpc's server sees for one request.
type request struct {
	*serverConn
	seq      uint64
	method   string
	read     bool     // its header was
	passed   bool     // the reading goes on elsewhere
	followed bool     // by another request, which has begun to arrive
	refused  *refusal // why, if it is
	answered bool     // or at least tried
	returned bool     // from net/rpc's server, and not by a panic
}

// run reads a request and runs it.
func (q *request) run() {
	*q = request{serverConn: q.serverConn}
	defer q.end()
	q.server.ServeRequest(q) //nolint:errcheck // what there is to say, the client was told
	q.returned = true
}

// leave ends a worker, and the work if it was to read.
func (q *request) leave() {
	if !q.passed {
		close(q.turn)
	}
	if q.workers.Add(-1) == 0 {
		q.over()
	}
}

// ReadRequestHeader implements rpc.ServerCodec.
func (q *request) ReadRequestHeader(r *rpc.Request) error {
	q.stream.room()
	if err := q.codec.ReadRequestHeader(r); err != nil {
		return err
	}
	q.read, q.seq, q.method = true, r.Seq, r.ServiceMethod
	if q.refused = q.begin(); q.refused != nil {
		r.ServiceMethod = refusedMethod
	}
	if q.method == pingMethod {
		q.pings.Add(1)
	} else {
		q.requests.Add(1)
	}
	return nil
}

// ReadRequestBody implements rpc.ServerCodec. The next request may be read while
// this one runs.
func (q *request) ReadRequestBody(body any) error {
	err := q.codec.ReadRequestBody(body)
	q.stream.begun.Store(0)
	q.followed = q.ahead != nil && q.ahead.ReadAhead()
	q.passed = true
	q.pass()
	return err
}

// WriteResponse implements rpc.ServerCodec.
func (q *request) WriteResponse(r *rpc.Response, body any) error {
	switch {
	case q.refused != nil:
		r.Error = q.refused.text
	case q.method == pingMethod && r.Error != "":
		r.Error, body = "", health{int(q.serving.running.Load())}
	}
	q.answered = true
	return q.reply(r, body)
}

// reply writes a reply. If it is the last one that is due, it carries it to the
// connection itself; what others may join is left to them, or to a flusher.
func (q *request) reply(r *rpc.Response, body any) error {
	err := q.write(r, body, q.refused != nil)
	if q.method == pingMethod {
		q.pings.Add(-1)
	}
	last := q.pending.Add(-1) == 0
	if !q.followed || !q.stream.takesAlong() {
		q.stream.Send(last)
	}
	return err
}

// Close implements rpc.ServerCodec; ServeRequest does not call it.
func (q *request) Close() error { return nil }

// end ends the request, also one whose method has panicked or ended its goroutine.
func (q *request) end() {
	if !q.returned && !q.cfg.CrashOnPanic {
		q.rescue(recover())
	}
	if q.read && q.refused == nil {
		q.done()
	}
}

// rescue answers a request whose method did not return. If it was the codec that
// panicked, the stream is in disorder, and the connection ends.
func (q *request) rescue(reason any) {
	q.log.Error("rpc method did not return", "method", q.method, "panic", reason, "stack", string(debug.Stack()))
	if !q.passed || q.answered {
		q.conn.Close()
		return
	}
	// The details are the server's own business.
	r := &rpc.Response{ServiceMethod: q.method, Seq: q.seq, Error: "rpcx: the method panicked"}
	q.reply(r, struct{}{}) //nolint:errcheck // what keeps it from being written ends the connection
}
