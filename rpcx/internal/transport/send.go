package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// peekAfter is after what time without a byte an idle connection is peeked at.
const peekAfter = time.Millisecond

// Check reports whether the connection takes exchanges. If it has been idle, it is peeked
// at first: one that the peer has closed is found out before a request is lost on it.
func (c *Conn) Check(now time.Time) bool {
	c.mu.Lock()
	takes := c.state == open
	var end error
	if takes && c.peeks && c.reading == byNone && now.Sub(c.wire.LastRead()) >= peekAfter {
		var data bool
		if data, end = c.wire.Peek(); data {
			c.toReader()
		}
	}
	c.mu.Unlock()
	if end != nil {
		c.Fail(readError(end))
		return false
	}
	return takes
}

// Do sends a request and waits for the end of the exchange, or of ctx.
func (c *Conn) Do(ctx context.Context, x *Exchange) Outcome {
	out, _ := c.Watch(ctx, x, nil)
	return out
}

// Watch is Do for a caller that wants to know of an alarm, too. If alarm is closed before
// the end, Watch may return true, and the exchange goes on: its end is waited for by Ended, and
// brought by Abandon. Disturb must be called when an alarm is closed.
func (c *Conn) Watch(ctx context.Context, x *Exchange, alarm <-chan struct{}) (out Outcome, alarmed bool) {
	for {
		if err := c.Room(ctx); err != nil {
			return c.NotStarted(err), false
		}
		if c.wire == nil {
			return c.doForeign(ctx, x), false
		}
		x.prepare(c)
		x.alarm = alarm
		mayRead := ctx.Done() == nil || !c.cfg.Given // whose deadlines are its owner's
		switch err := c.write(x, mayRead); {
		case err == ErrNoRoom: //nolint:errorlint // it is never wrapped
			continue
		case err != nil:
			return c.NotStarted(err), false
		case x.reader:
			return c.readOwn(ctx, x)
		}
		return c.watch(ctx, x)
	}
}

// Disturb has a caller that reads its own reply look at its alarm.
func (c *Conn) Disturb() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.leaver; x != nil && x.alarm != nil {
		c.interrupted = true
		c.wire.ReadBy(past)
	}
}

// alarmed reports whether the alarm of an exchange is closed. It is its caller's to ask.
func (x *Exchange) alarmed() bool {
	select {
	case <-x.alarm:
		return true
	default:
		return false
	}
}

// watch is await for a caller that wants to know of an alarm.
func (c *Conn) watch(ctx context.Context, x *Exchange) (out Outcome, alarmed bool) {
	if x.alarm == nil {
		return c.await(ctx, x), false
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		c.Abandon(x, ctx.Err())
	case <-x.alarm:
		return Outcome{}, true
	}
	return x.outcome, false
}

// NotStarted is the outcome of an exchange that Start has not sent, with its error, or
// that has waited for Room in vain.
func (c *Conn) NotStarted(err error) Outcome {
	c.mu.Lock()
	over, cause := c.state == closed, c.cause
	c.mu.Unlock()
	switch {
	case over:
		return Outcome{Cause: ConnectionLost, Err: cause}
	case errors.Is(err, wire.ErrClosed), errors.Is(err, ErrWithdrawn):
		return Outcome{Cause: NotTaken, Err: err}
	}
	return Outcome{Cause: Abandoned, Err: err}
}

// await waits for the end of an exchange whose reply another goroutine reads.
func (c *Conn) await(ctx context.Context, x *Exchange) Outcome {
	if ctx.Done() == nil {
		<-x.done
		return x.outcome
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		c.Abandon(x, ctx.Err())
	}
	return x.outcome
}

// Room waits until a request may be written. A codec that the user gave is reserved: a
// request must follow.
func (c *Conn) Room(ctx context.Context) error {
	if c.wire != nil {
		return c.wire.Wait(ctx)
	}
	return c.reserve(ctx)
}

// HasRoom is Room without the wait.
func (c *Conn) HasRoom() bool {
	if c.wire != nil {
		return !c.wire.Full()
	}
	return c.tryReserve()
}

// prepare makes an exchange ready to be written, while it is its caller's alone.
func (x *Exchange) prepare(c *Conn) {
	if x.done == nil {
		x.done = make(chan struct{}, 1)
	}
	if !c.whole {
		_, x.raw = x.Reply.(*codec.RawReply)
		x.asideOf(x.Reply)
	}
}

// write encodes a request into memory and sees to it that it leaves. It returns an error
// only if nothing has happened: there is no room, or the connection takes no requests.
// Whatever the codec does to the request is the outcome of the exchange. MayRead says
// that its caller waits for the end in this goroutine, and may read meanwhile.
func (c *Conn) write(x *Exchange, mayRead bool) error {
	c.writing.Lock()
	if c.wire.Full() {
		c.writing.Unlock()
		return ErrNoRoom
	}
	x.from = c.wire.BeginFrame()
	c.cfg.Observer.Writing(x)
	crowded, err := c.issue(x, mayRead)
	if err != nil {
		c.wire.EndFrame()
		c.writing.Unlock()
		return err
	}
	c.frame(x, crowded)
	return nil
}

// frame has the codec write a request that was issued, and sees to it that it leaves. A
// marshaler of the user's may end the goroutine: then the connection takes no more requests.
func (c *Conn) frame(x *Exchange, crowded bool) {
	err := errExited
	defer func() {
		x.to.Store(c.wire.EndFrame())
		untouched := c.wire.Queued() == x.from
		exited := err == errExited //nolint:errorlint // it is never wrapped
		if exited {
			c.mute.Store(true)
		}
		c.writing.Unlock()
		if err != nil {
			c.notWritten(x, err, untouched)
		}
		c.wire.Flush(crowded)
		if exited {
			c.exited(x)
		}
	}()
	err = c.encode(x)
}

// Interject sends bytes between two requests that are none. It is for connections with a
// wire, and does nothing if that is full.
func (c *Conn) Interject(p []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.wire.Full() {
		c.wire.Write(p) //nolint:errcheck // it goes to memory, or the connection has ended
	}
}

// crowd is how many exchanges in flight make it likely that others are about to be written.
// With fewer, to let others write costs more than the common write saves.
const crowd = 4

// issue gives an exchange its number, and decides on the reader of its reply. It reports
// whether others may be about to be written.
func (c *Conn) issue(x *Exchange, mayRead bool) (crowded bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == closed:
		return false, c.cause
	case c.state == retiring && (!x.Background || c.mute.Load()): // which asks whether the answers still owed will come
		return false, wire.ErrClosed
	case x.state.Load() != pending:
		return false, ErrWithdrawn
	}
	others := len(c.inflight)
	x.seq, x.issued = c.seq, true
	c.seq++
	c.inflight[x.seq] = x
	c.number(x)
	c.live++
	c.chooseReader(x, mayRead && others == 0)
	return others >= crowd, nil
}

// ErrWithdrawn is the error of a request that was given up before it was written.
var ErrWithdrawn = errors.New("rpcx: the call was withdrawn before it was sent")

// errNotRaw refuses a request whose reply a foreign codec would decode into what it does
// not know.
var errNotRaw = errors.New("rpcx: the connection's codec cannot keep a reply to be decoded later; those of package codec can")

// encode has the codec write a request.
func (c *Conn) encode(x *Exchange) error {
	if x.raw {
		return &codec.EncodeError{Err: errNotRaw}
	}
	c.request.ServiceMethod, c.request.Seq = x.Method, x.seq
	c.meta.begin(x)
	err := write(func() error {
		if c.meta.codec != nil {
			return c.meta.codec.WriteRequestMeta(&c.request, c.meta.of(x), x.Args)
		}
		return c.codec.WriteRequest(&c.request, x.Args)
	})
	x.Args = nil
	if err == nil {
		c.meta.written++
		c.cfg.Observer.Wrote(x)
	}
	return err
}

// write calls a codec. A panic of it, as of a nil pointer that it does not expect, is an
// error of the exchange: this may be a goroutine of ours, in which the caller could not
// recover.
func write(request func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &codec.EncodeError{Err: fmt.Errorf("rpcx: the codec panicked: %v", p)}
		}
	}()
	return request()
}

// Abandon gives an exchange up that has no owner, unless it has ended, and whose Ended was
// not received from. When it returns, the exchange has an outcome.
func (c *Conn) Abandon(x *Exchange, cause error) {
	if !x.state.CompareAndSwap(pending, ended) {
		<-x.done // the winner announces it soon
		return
	}
	x.outcome = c.givenUp(x, cause)
	c.closeIfIdle()
}

// givenUp is the outcome of an exchange that was given up. What is left of it waits for a
// late reply.
func (c *Conn) givenUp(x *Exchange, cause error) Outcome {
	x.shared = true
	x.Reply = nil
	c.mu.Lock()
	issued := x.issued
	if issued && c.inflight[x.seq] == x {
		c.leave(x)
	}
	c.mu.Unlock()
	out := Outcome{Cause: Abandoned, Err: cause}
	if issued {
		out.Sent = c.doubt(x)
		if x.Deadline.IsZero() || cause != context.DeadlineExceeded { //nolint:errorlint // the server knows it too
			c.Cancel(x)
		}
	}
	return out
}

// doubt says whether an exchange without an answer can have reached the server. What
// never left cannot; nor can a frame whose end never left, the newline behind JSON apart.
// Of a foreign codec's frames nothing is known but where they began. Where one request
// can be given up alone, that is done, and it is known of each.
func (c *Conn) doubt(x *Exchange) Sent {
	switch {
	case c.canceler != nil && c.canceler.Cancel(x.seq):
		return NotSent
	case c.wire == nil || !c.Dead(): // what waits may still leave
		return MaybeSent
	case c.wire.UnsentFrom(max(x.from, x.to.Load()-2)):
		return NotSent
	}
	return MaybeSent
}

// closeIfIdle closes a retiring connection after its last exchange.
func (c *Conn) closeIfIdle() {
	c.mu.Lock()
	idle := c.state == retiring && c.live == 0
	c.mu.Unlock()
	if idle {
		c.Fail(wire.ErrClosed)
	}
}

// finish ends an exchange, unless it has ended, and announces that. Shared says that
// another goroutine may still refer to it.
func (c *Conn) finish(x *Exchange, out Outcome, shared bool) {
	if x.state.CompareAndSwap(pending, ended) {
		x.shared = x.shared || shared
		x.outcome = out
		c.announce(x)
	}
}
