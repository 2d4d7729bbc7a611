package server

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
)

// Why the context of a method has ended, beside its deadline: context.Cause has it.
var (
	errReturned = errors.New("rpcx: the method has returned")
	errCanceled = errors.New("rpcx: the caller has canceled the call")
	errLost     = errors.New("rpcx: the connection of the caller is lost")
	errStopped  = errors.New("rpcx: the server stops")
)

// ContextOf returns the context of the request whose method was given args: see
// rpcx.ContextOf.
func ContextOf(args any) context.Context {
	v := reflect.ValueOf(args)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		key := uint64(v.Pointer()) << 1
		if c := running.find(key); c != nil {
			return c.context(key)
		}
	}
	return context.Background()
}

// A caller is the client's side of the request that a worker runs. Each worker has one. For a method
// that does not ask for its context, and is not canceled, it takes a few atomic operations:
//
//	key           state                                  what ends it
//	0             no method runs                         begin
//	address       a method runs                          end
//	address | 1   likewise, and mu protects its context  end, which then locks mu
//
// Of the address, which is that of the arguments, the lowest bit is free because it is shifted.
type caller struct {
	conn *conn // is never changed
	key  atomic.Uint64
	slot *slot // where running has it; the worker's

	// Is set before key, and not changed while key is set.
	seq     uint64
	args    any               // keeps the address from being used again
	meta    codec.RequestMeta // of the request; zero if it has none
	kept    bool              // its client may ask for the answer over another connection
	instead *record           // whose method is to be canceled, if it is a question; else nil

	mu     sync.Mutex // protects following
	ctx    context.Context
	spent  *atomic.Bool // of ctx: see callmeta.Incoming
	cancel context.CancelCauseFunc
	cause  error // why ctx has ended, or is to end once there is one
}

// begin notes that a method runs with args, a pointer. The worker calls it, as all that has no
// comment about that.
func (c *caller) begin(args any) {
	c.args = args
	v := reflect.ValueOf(args)
	address := v.Pointer()
	if v.Type().Elem().Size() == 0 { // all values without a size have one address
		address = uintptr(unsafe.Pointer(c))
	}
	key := uint64(address) << 1
	c.key.Store(key)
	c.slot = running.add(c, key)
}

// end notes that the method has returned, if one runs. It reports whether a call that it has
// made was in vain, after all the attempts that there may be.
func (c *caller) end() (spent bool) {
	key := c.key.Load()
	if key == 0 {
		return false
	}
	running.remove(c.slot, key&^1)
	key = c.key.Swap(0)
	c.args, c.slot = nil, nil
	if key&1 == 0 {
		return false
	}
	c.mu.Lock()
	cancel := c.cancel
	spent = c.spent != nil && c.spent.Load()
	c.ctx, c.spent, c.cancel, c.cause = nil, nil, nil, nil
	c.mu.Unlock()
	if cancel != nil {
		cancel(errReturned)
	}
	return spent
}

// touch keeps the method with the given key from ending without a lock on mu, which the
// goroutine that calls it holds. It returns false if that method does not run any more.
func (c *caller) touch(key uint64) bool {
	return key != 0 && (c.key.CompareAndSwap(key, key|1) || c.key.Load() == key|1)
}

// context returns the context of the method with the given key. It may be called by any
// goroutine.
func (c *caller) context(key uint64) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.touch(key) {
		return context.Background()
	}
	if c.ctx == nil {
		c.makeContext()
	}
	return c.ctx
}

// extend lets f make what ContextOf returns of the context of the method that is about to run.
// The worker calls it before the method can ask.
func (c *caller) extend(f func(context.Context) context.Context) context.Context {
	ctx := f(c.context(c.key.Load() &^ 1))
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	return ctx
}

// makeContext is called with mu locked.
func (c *caller) makeContext() {
	c.spent = new(atomic.Bool)
	in := callmeta.Incoming{Retry: c.meta.Retry, Trace: c.meta.Trace, Spent: c.spent}
	ctx, cancel := context.WithCancelCause(callmeta.NewContext(context.Background(), &in))
	c.ctx, c.cancel = ctx, cancel
	if c.meta.Deadline > 0 {
		limited, stop := context.WithDeadline(ctx, c.conn.timeOf(c.meta.Deadline))
		c.ctx, c.cancel = limited, func(cause error) {
			cancel(cause)
			stop()
		}
	}
	if c.cause == nil {
		if lost := c.conn.lost.Load(); lost != nil && c.loses(*lost) {
			c.cause = *lost
		}
	}
	if c.cause != nil {
		c.cancel(c.cause)
	}
}

// abandon ends the context of the method that runs, of the request that is wanted, and says
// whether there is one. It may be called by any goroutine.
func (c *caller) abandon(cause error, wanted func() bool) bool {
	c.mu.Lock()
	if !c.touch(c.key.Load()&^1) || !wanted() || c.cause != nil {
		c.mu.Unlock()
		return false
	}
	c.cause = cause
	cancel, instead := c.cancel, c.instead
	c.mu.Unlock()
	if instead != nil {
		c.conn.memory.abandon(instead, cause)
		return true
	}
	c.conn.counters.Canceled.Add(1)
	if cancel != nil {
		cancel(cause)
	}
	return true
}

// loses reports whether the end of the connection, for the given cause, ends the context. A
// client that may ask for the answer over another connection still waits.
func (c *caller) loses(cause error) bool {
	return !c.kept || cause == errStopped //nolint:errorlint // it is never wrapped
}

// timeOf is a time of the connection as that of this process.
func (c *conn) timeOf(at time.Duration) time.Time {
	return c.stream.born.Add(time.Duration(c.first)).Add(at) // their sum may be too large for a Duration
}
