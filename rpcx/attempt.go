package rpcx

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// The states of an attempt. Each moves once, by compare-and-swap: the writer
// takes a queued attempt, who gives it up may withdraw it before; the reader takes a
// written one to decode into the caller's reply, who gives it up may abandon it
// before. Who loses the race leaves the attempt alone, so that it ends once.
const (
	queued    uint32 = iota // not yet handed to the codec
	written                 // handed to the codec: it may have left
	decoding                // the reader owns the caller's reply
	abandoned               // given up: nobody touches args and reply again
	refused                 // the codec did not take it
)

// attempt carries one try of a call through net/rpc's Client: as both the
// argument and the reply of rpc.Client.Go, unwrapped by tap on the other side.
// net/rpc remembers it until it is answered or the connection ends, so that it lets go
// of what is the caller's earlier: of args once it is written, of the rest when it is
// given up.
//
// Its end is announced on done, or told to its owner. The owner is told once, by
// the second of two who meet: who has written the attempt, and who has ended it,
// by winning it its last state.
type attempt struct {
	state atomic.Uint32
	met   atomic.Uint32 // how many of the two are there
	args  any           // the writer's, once the attempt is written
	reply any           // the reader's while decoding
	aside reflect.Type  // of what the reply is decoded into before the reader may have reply; nil if it is decoded in place

	ctx    context.Context // of the call, or what AttemptStart has made of it
	method string
	number int  // counted from 1
	hedge  bool // it is the second of a race
	// hedgeable says that how long it takes says when to hedge others.
	hedgeable bool
	started   time.Time
	endpoint  *endpoint
	ticket    balancer.Ticket
	permit    breaker.Permit

	done  chan *rpc.Call // has room for one; used if owner is nil
	owner owner          // nil if somebody waits for done

	// What the conn knows an attempt with an owner by.
	prev, next *attempt    // protected by conn.mu; nil if it is not in the ring
	timer      *time.Timer // gives it up at its deadline; nil if it has none

	// start and end are its place in the wire; the writer's until it is written.
	// refusal is why the codec did not take it; encode and unsent say that nothing
	// was written, because it cannot be encoded or because the codec takes no more.
	start, end int64
	seq        uint64 // its number in the codec, once it is written
	refusal    error
	encode     bool
	unsent     bool

	// The reader's: what happened to this attempt alone, while its connection
	// lives; what ended the stream within its reply; and when the reply came, zero if
	// the codec could not tell.
	err    error
	broken error
	at     time.Time

	// Of who gave it up: why, and whether the codec has never seen it.
	cause  error
	unseen bool

	borrowed bool // net/rpc or the codec may still hold it
	unsure   bool // it counts in conn.unsure
}

// owner is told of the end of an attempt, in the goroutine that ended it, with no
// lock held.
type owner interface {
	landed(a *attempt, res result)
}

// An attemptPool keeps attempts for reuse. Each client has its own: a channel
// must not leave the testing/synctest bubble that it was made in.
type attemptPool struct{ sync.Pool }

func (p *attemptPool) take(args, reply any) *attempt {
	a, ok := p.Get().(*attempt)
	if !ok {
		a = new(attempt)
	}
	a.args, a.reply = args, reply
	return a
}

// put gives an attempt back, unless it is still held elsewhere.
func (p *attemptPool) put(a *attempt) {
	if a.borrowed {
		a.ctx, a.owner = nil, nil
		return
	}
	*a = attempt{done: a.done}
	p.Put(a)
}

// info is what is known of the attempt as it begins.
func (a *attempt) info() AttemptInfo {
	return AttemptInfo{Method: a.method, Endpoint: a.endpoint.addr, Attempt: a.number, Hedge: a.hedge, Started: a.started}
}

// announced is the channel on which net/rpc is to announce the end.
func (a *attempt) announced(nobody chan *rpc.Call) chan *rpc.Call {
	if a.owner != nil {
		return nobody
	}
	if a.done == nil {
		a.done = make(chan *rpc.Call, 1)
	}
	return a.done
}

// finish moves the attempt to a last state. It returns false if it has one already:
// then somebody else ends it, soon.
func (a *attempt) finish(state uint32) bool {
	if a.state.CompareAndSwap(queued, state) {
		a.unseen = true
		return true
	}
	return a.state.CompareAndSwap(written, state)
}

// giveUp is for who has abandoned the attempt.
func (a *attempt) giveUp(cause error) { a.cause, a.reply = cause, nil }

// take makes the reader the owner of the caller's reply.
func (a *attempt) take(now time.Time) bool {
	if !a.state.CompareAndSwap(written, decoding) {
		return false
	}
	a.at = now
	return true
}

var errStrayReply = errors.New("rpcx: a reply came to a request that was not made; the stream is in disorder")

// errFull is what an attempt gets that others outran to the room in memory.
var errFull = errors.New("rpcx: too much waits to be written")

var errWithdrawn = errors.New("rpcx: the call was withdrawn before it was sent")

// tap is the codec that net/rpc's Client sees. It unwraps attempts, keeps what
// goes wrong with one of them from the others, and tells the connection of every
// sign of life.
type tap struct {
	rpc.ClientCodec
	conn *conn
	// whole says that the codec reads whole frames, so that decoding does not
	// wait for the network.
	whole    bool
	errors   codec.ErrorReader   // nil if the codec has texts only
	refusals codec.RefusalReader // nil if the header's method name tells of them
	// issued is the first sequence number that no request has had: net/rpc counts.
	issued atomic.Uint64

	// Of the reply that is being read.
	seq     uint64
	now     time.Time
	failure error // nil if it is none
	// unanswered says that it is the end of a call for which nothing has come.
	unanswered bool
}

func newTap(inner rpc.ClientCodec, c *conn) *tap {
	t := &tap{ClientCodec: inner, conn: c}
	_, t.whole = inner.(codec.WholeFrames)
	t.errors, _ = inner.(codec.ErrorReader)
	c.canceler, _ = inner.(codec.Canceler)
	t.refusals, _ = inner.(codec.RefusalReader)
	return t
}

// WriteRequest implements rpc.ClientCodec. An error ends this call only; if it
// may have left the stream in disorder, the connection takes no further calls.
func (t *tap) WriteRequest(r *rpc.Request, body any) error {
	a := body.(*attempt)
	if w := t.conn.wire; w != nil {
		if w.Full() {
			a.refusal = errFull
			return errFull
		}
		select {
		case t.conn.slot <- struct{}{}:
			defer func() { <-t.conn.slot }()
		default: // it is being closed
			return wire.ErrClosed
		}
		a.start = w.BeginFrame()
		defer func() { a.end = w.EndFrame() }()
	}
	a.seq, a.unsure = r.Seq, t.conn.mayTakeLong(a.method)
	if !a.state.CompareAndSwap(queued, written) {
		return errWithdrawn
	}
	t.issued.Store(r.Seq + 1) // before it is sent: the answer may be faster
	err := t.write(r, a.args)
	a.args = nil
	if err == nil {
		t.conn.wrote(a)
		return nil
	}
	a.refusal = t.refused(a, err)
	return a.refusal
}

// write has the codec write a request. A panic of it, as of a nil pointer that it does
// not expect, is an error of the call: this may be a goroutine of ours, in which the
// caller could not recover.
func (t *tap) write(r *rpc.Request, args any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &codec.EncodeError{Err: fmt.Errorf("rpcx: the codec panicked: %v", p)}
		}
	}()
	return t.ClientCodec.WriteRequest(r, args)
}

// refused notes what it means that the codec did not take a request, and returns the
// error of the call. The connection takes no more requests if the codec says so, or if
// it may have written a part of this one. Without a wire that cannot be seen, and as
// with net/rpc the client lives on.
func (t *tap) refused(a *attempt, err error) error {
	w := t.conn.wire
	a.encode = isEncodeError(err)
	a.unsent = errors.Is(err, codec.ErrRetired)
	untouched := w == nil || w.Queued() == a.start
	switch {
	case w == nil || !untouched:
	case w.Over():
		a.unsent = true
	case !a.encode && !a.unsent: // a foreign codec does not like the argument
		a.encode, err = true, &codec.EncodeError{Err: err}
	}
	if t.retired() {
		t.conn.mute.Store(true)
	}
	if t.conn.mute.Load() || !untouched && !(t.whole && a.encode) {
		t.conn.retire()
	}
	return err
}

// retired reports whether the codec takes no more requests, as gob's does after it
// has failed within an interface. The writer calls it.
func (t *tap) retired() bool {
	r, ok := t.ClientCodec.(interface{ Retired() bool })
	return ok && r.Retired()
}

// ReadResponseHeader implements rpc.ClientCodec. Any reply, even an error, is
// proof of life.
func (t *tap) ReadResponseHeader(r *rpc.Response) error {
	t.failure = nil // it may be large, and the next reply long in coming
	if err := t.ClientCodec.ReadResponseHeader(r); err != nil {
		t.conn.fail(readError(err))
		return err
	}
	t.seq = r.Seq
	// net/rpc would keep an error to itself, and not say whose it is: without one it
	// asks for the body, and names the attempt.
	if r.Error != "" {
		t.failure, r.Error = t.readFailure(r), ""
	}
	t.note()
	return nil
}

// note notes when the reply came, and that the peer lives. An end of a call for which
// the peer has sent nothing proves nothing, and no bytes of it came.
func (t *tap) note() {
	end := exchangeError(t.failure)
	t.unanswered = end != nil && end.Answer == codec.NoAnswer
	if t.whole && t.conn.wire != nil && end == nil {
		t.now = t.conn.wire.LastRead() // when the bytes came, which was proof of life
	} else {
		t.now = time.Now()
		if t.unanswered {
			return
		}
		t.conn.proof(t.now)
	}
	t.conn.hasAnswered()
}

// readFailure is the error of a reply.
func (t *tap) readFailure(r *rpc.Response) error {
	if t.marked(r) {
		if err := protocol.RefusalOf(r.Error); err != nil {
			return err
		}
	}
	if t.errors != nil {
		if err := t.errors.ReadError(); err != nil {
			return err
		}
	}
	return rpc.ServerError(r.Error)
}

// marked reports whether an error reply has the mark of the peer itself. A method can
// write neither of the two.
func (t *tap) marked(r *rpc.Response) bool {
	if t.refusals != nil {
		return t.refusals.Refused()
	}
	return r.ServiceMethod == protocol.RefusedMethod
}

// ReadResponseBody implements rpc.ClientCodec. Who owns the attempt is told at
// once, not when net/rpc announces the end, which tells nobody of it.
func (t *tap) ReadResponseBody(body any) error {
	a, ok := body.(*attempt)
	if t.whole && t.seq >= t.issued.Load() {
		// The number is wrong, and the call that it should have would wait for ever.
		return t.ended(errStrayReply)
	}
	if !ok { // net/rpc waits for it no more: an answer that came before comes again
		return t.ended(t.ClientCodec.ReadResponseBody(nil))
	}
	if a.state.Load() != queued { // its place is known
		t.conn.received(a, t.now, !t.unanswered)
	}
	mine, err := t.read(a)
	if !mine && !t.unanswered && !protocol.IsRefusal(t.failure) {
		t.conn.ep.late(a, t.now)
	}
	t.ended(err) //nolint:errcheck // it is returned below
	if mine && a.owner != nil {
		a.broken = err
		t.conn.meet(a)
	}
	return err
}

// ended ends the connection if its stream did.
func (t *tap) ended(err error) error {
	if err != nil {
		t.conn.fail(readError(err))
	}
	return err
}

// read reads the body of the reply to an attempt. It reports whether the reader
// is the one who ends it.
func (t *tap) read(a *attempt) (mine bool, err error) {
	switch {
	case t.failure != nil:
		if mine = a.take(t.now); mine {
			a.err = t.failure
		}
		return mine, t.ClientCodec.ReadResponseBody(nil)
	case t.whole:
		return t.decode(a)
	}
	return t.decodeAside(a)
}

// decode reads the body into the caller's reply, who waits meanwhile: all of it
// is in memory.
func (t *tap) decode(a *attempt) (mine bool, err error) {
	if !a.take(t.now) {
		return false, t.ClientCodec.ReadResponseBody(nil)
	}
	err = t.ClientCodec.ReadResponseBody(a.reply)
	if isDecodeError(err) {
		a.err = &bodyError{err}
		return true, nil
	}
	return true, err
}

// decodeAside reads the body into a new value, since a foreign codec may wait for
// the network in the middle and the caller must be free to leave. Only decoding
// into what a reply holds already is done in place, and then the caller waits: a
// copy would share its slices and maps.
func (t *tap) decodeAside(a *attempt) (mine bool, err error) {
	if a.state.Load() == abandoned {
		return false, t.ClientCodec.ReadResponseBody(nil)
	}
	if a.aside == nil {
		if !a.take(t.now) {
			return false, t.ClientCodec.ReadResponseBody(nil)
		}
		return true, t.ClientCodec.ReadResponseBody(a.reply)
	}
	aside := reflect.New(a.aside)
	err = t.ClientCodec.ReadResponseBody(aside.Interface())
	if mine = a.take(t.now); mine && err == nil {
		reflect.ValueOf(a.reply).Elem().Set(aside.Elem())
	}
	return mine, err
}
