package rpcx

import (
	"errors"
	"net/rpc"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// The states of an attempt. Each moves once, by compare-and-swap: the writer
// takes a queued attempt, the caller may withdraw it before; the reader takes a
// written one to decode into the caller's reply, the caller may abandon it
// before. Who loses the race leaves the attempt alone.
const (
	queued    uint32 = iota // not yet handed to the codec
	written                 // handed to the codec: it may have left
	decoding                // the reader owns the caller's reply
	abandoned               // the caller has gone: nobody touches args and reply again
)

// attempt carries one try of a call through net/rpc's Client: as both the
// argument and the reply of rpc.Client.Go, unwrapped by tap on the other side.
type attempt struct {
	state atomic.Uint32
	args  any
	reply any
	// start and end are its place in the wire; the writer's until it is written.
	start, end int64
	// err is what happened to this attempt alone, while its connection lives;
	// encode and unsent say that nothing was written, because it cannot be encoded
	// or because the codec takes no more. They belong to the codec's side until
	// done fires.
	err    error
	encode bool
	unsent bool
	at     time.Time      // when the reply came; zero if the codec could not tell
	done   chan *rpc.Call // has room for one
}

// An attemptPool keeps attempts for reuse. Each client has its own: a channel
// must not leave the testing/synctest bubble that it was made in.
type attemptPool struct{ sync.Pool }

func (p *attemptPool) take(args, reply any) *attempt {
	a, ok := p.Get().(*attempt)
	if !ok {
		a = &attempt{done: make(chan *rpc.Call, 1)}
	}
	a.args, a.reply = args, reply
	return a
}

// put gives back an attempt whose done has fired, which is when net/rpc and the
// codec have let go of it.
func (p *attemptPool) put(a *attempt) {
	*a = attempt{done: a.done}
	p.Put(a)
}

// abandon gives the attempt up for the caller. It returns false if the reader is
// decoding already: then done fires soon, and the caller waits for it.
func (a *attempt) abandon() bool {
	return a.state.CompareAndSwap(queued, abandoned) || a.state.CompareAndSwap(written, abandoned)
}

var errStrayReply = errors.New("rpcx: a reply came to a request that was not made; the stream is in disorder")

var errWithdrawn = errors.New("rpcx: the call was withdrawn before it was sent")

// tap is the codec that net/rpc's Client sees. It unwraps attempts, keeps what
// goes wrong with one of them from the others, and tells the connection of every
// sign of life.
type tap struct {
	rpc.ClientCodec
	conn *conn
	// whole says that the codec reads whole frames, so that decoding does not
	// wait for the network.
	whole  bool
	errors codec.ErrorReader // nil if the codec has texts only

	// Of the reply that is being read.
	now     time.Time
	failed  bool  // it is an error
	failure error // its error object
}

func newTap(inner rpc.ClientCodec, c *conn) *tap {
	t := &tap{ClientCodec: inner, conn: c}
	_, t.whole = inner.(codec.WholeFrames)
	t.errors, _ = inner.(codec.ErrorReader)
	return t
}

// WriteRequest implements rpc.ClientCodec. An error ends this call only; if it
// may have left the stream in disorder, the connection takes no further calls.
func (t *tap) WriteRequest(r *rpc.Request, body any) error {
	a := body.(*attempt)
	if w := t.conn.wire; w != nil {
		if w.full.Load() {
			return errFull
		}
		a.start = w.cork()
		defer func() { a.end = w.uncork() }()
	}
	if !a.state.CompareAndSwap(queued, written) {
		return errWithdrawn
	}
	err := t.ClientCodec.WriteRequest(r, a.args)
	if err == nil {
		return nil
	}
	a.unsent = errors.Is(err, codec.ErrRetired) || t.whole && errors.Is(err, errClosedWire)
	a.encode = isEncodeError(err)
	if !a.encode || t.retired() {
		t.conn.retire()
	}
	return err
}

// retired reports whether the codec takes no more requests, as gob's does after it
// has failed within an interface.
func (t *tap) retired() bool {
	r, ok := t.ClientCodec.(interface{ Retired() bool })
	return ok && r.Retired()
}

// ReadResponseHeader implements rpc.ClientCodec. Any reply, even an error, is
// proof of life.
func (t *tap) ReadResponseHeader(r *rpc.Response) error {
	if err := t.ClientCodec.ReadResponseHeader(r); err != nil {
		t.conn.fail(readError(err))
		return err
	}
	if t.whole && t.conn.wire != nil {
		t.now = t.conn.wire.now // when the bytes came, which was proof of life
	} else {
		t.now = time.Now()
		t.conn.proof(t.now)
	}
	t.conn.hasAnswered()
	if r.ServiceMethod == pingMethod {
		t.conn.pong.Store(int64(t.now.Sub(t.conn.ep.client.born)))
	}
	t.failure, t.failed = nil, r.Error != ""
	// net/rpc would make a text of an error, and not say whose it is: without one it
	// asks for the body, and names the attempt.
	if r.ServiceMethod == drainingMethod && r.Error == errDraining.Error() {
		t.failure, r.Error = errDraining, "" // a method cannot forge its name
	}
	if r.Error != "" && t.errors != nil {
		if t.failure = t.errors.ReadError(); t.failure != nil {
			r.Error = ""
		}
		if isDraining(t.failure) {
			t.failure = errDraining
		}
	}
	return nil
}

// ReadResponseBody implements rpc.ClientCodec.
func (t *tap) ReadResponseBody(body any) error {
	a, ok := body.(*attempt)
	if !ok && t.whole && !t.failed {
		// Nobody waits for it, although net/rpc forgets no request that was sent:
		// its number is wrong, and some other call would wait for ever.
		return t.ended(errStrayReply)
	}
	if !ok {
		return t.ended(t.ClientCodec.ReadResponseBody(nil))
	}
	a.at = t.now
	if w := t.conn.wire; w != nil && a.state.Load() != queued { // its place is known
		w.answered(a.start)
	}
	if t.failure != nil {
		return t.ended(t.refuse(a))
	}
	if t.whole {
		return t.ended(t.decode(a))
	}
	return t.ended(t.decodeAside(a))
}

// ended ends the connection if its stream did.
func (t *tap) ended(err error) error {
	if err != nil {
		t.conn.fail(readError(err))
	}
	return err
}

// refuse ends the attempt with the error object of its reply.
func (t *tap) refuse(a *attempt) error {
	if a.state.CompareAndSwap(written, decoding) {
		a.err = t.failure
	}
	return t.ClientCodec.ReadResponseBody(nil)
}

// decode reads the body into the caller's reply, who waits meanwhile: all of it
// is in memory.
func (t *tap) decode(a *attempt) error {
	if !a.state.CompareAndSwap(written, decoding) {
		return t.ClientCodec.ReadResponseBody(nil)
	}
	err := t.ClientCodec.ReadResponseBody(a.reply)
	if isDecodeError(err) {
		a.err = &bodyError{err}
		return nil
	}
	return err
}

// decodeAside reads the body into a new value, since a foreign codec may wait for
// the network in the middle and the caller must be free to leave. Only decoding
// into what a reply holds already is done in place, and then the caller waits: a
// copy would share its slices and maps.
func (t *tap) decodeAside(a *attempt) error {
	if a.state.Load() == abandoned {
		return t.ClientCodec.ReadResponseBody(nil)
	}
	reply := reflect.ValueOf(a.reply)
	if reply.Kind() != reflect.Pointer || reply.IsNil() || !reply.Elem().IsZero() {
		if !a.state.CompareAndSwap(written, decoding) {
			return t.ClientCodec.ReadResponseBody(nil)
		}
		return t.ClientCodec.ReadResponseBody(a.reply)
	}
	aside := reflect.New(reply.Type().Elem())
	err := t.ClientCodec.ReadResponseBody(aside.Interface())
	if a.state.CompareAndSwap(written, decoding) && err == nil {
		reply.Elem().Set(aside.Elem())
	}
	return err
}
