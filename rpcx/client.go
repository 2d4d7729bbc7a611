package rpcx

import (
	"context"
	"errors"
	"log"
	"runtime"

	"resilientrpc/rpcx/internal/cause"
)

// Client calls the methods of a service that one or more replicas serve. It is
// safe for concurrent use, and must be closed to release its connections. If nothing refers
// to a client any more, it is closed after the garbage collector has found it and its last
// call has ended; a connection or codec that was given to it stays open, as in net/rpc.
type Client struct {
	*core
	cleanup  runtime.Cleanup // closes the core of a Client that was dropped
	standard standard        // of StandardClient
}

// newClient returns the Client of a core.
func newClient(c *core) *Client {
	client := &Client{core: c}
	client.cleanup = runtime.AddCleanup(client, func(c *core) { go c.abandon() }, c)
	return client
}

// Caller is the part of a client that [Invoke] uses.
type Caller interface {
	CallContext(ctx context.Context, serviceMethod string, args, reply any) error
}

// Invoke calls a method and returns its reply, with the errors of CallContext. With an
// error, the reply is usually the zero value; a decoding that failed may have set a part of it.
func Invoke[Reply any](ctx context.Context, c Caller, serviceMethod string, args any) (Reply, error) {
	var reply Reply
	err := c.CallContext(ctx, serviceMethod, args, &reply)
	return reply, err
}

// Call calls the named method, waits for it to end, and returns its error. It is
// [Client.CallContext] without a context, and with the errors of net/rpc: see
// [CallError].
func (c *Client) Call(serviceMethod string, args, reply any) error {
	return asNetRPC(c.CallContext(context.Background(), serviceMethod, args, reply))
}

// CallContext calls the named method and waits until it ends, ctx ends, or
// Dialer.CallTimeout has passed. After it has returned, args and reply are not used any more;
// but see [NewClientWithCodec] for a codec that blocks. If reply is not empty, it is decoded
// in place, and the call does not end before a decoding that has begun. The error is that
// of the method, a [ServerError] or the [*codec.Error] of a JSON-RPC error object,
// [ErrShutdown], or a [*CallError].
func (c *Client) CallContext(ctx context.Context, serviceMethod string, args, reply any) error {
	if !c.begin() {
		return ErrShutdown
	}
	defer c.end()
	err := c.intercepted(ctx, serviceMethod, args, reply)
	runtime.KeepAlive(c)
	return err
}

// Go calls the named method asynchronously; in all else it is like Call. It returns
// the Call, which is sent on done when the call ends. If done is nil, Go makes a new channel;
// if done has no buffer, Go panics, as in net/rpc. When Go returns, the request was written, or
// waits: because of a limit, for a connection, for a peer that does not read, or to be tried
// again. A call in flight costs memory, but no goroutine.
//
// When Go returns, the caller may change args, as in net/rpc: args that may be sent
// later or again are copied, as far as the codec encodes them. That costs nothing for a
// struct without references, and one allocation for a pointer to one. A few types cannot
// be copied: those that encode themselves from private state behind pointers, such as
// big.Int, or that guard it with a lock; those that are cyclic; and, with a codec that is not
// of this module, those that have private pointers, maps or slices. With such args, Go
// returns only after the request has been written or the call has ended, and the request is
// not written again. With [Dialer].Intercept, the call takes a goroutine until it has ended,
// and with such args Go returns only then.
func (c *Client) Go(serviceMethod string, args, reply any, done chan *Call) *Call {
	if done == nil {
		done = make(chan *Call, 10)
	} else if cap(done) == 0 {
		log.Panic("rpc: done channel is unbuffered")
	}
	call := &Call{ServiceMethod: serviceMethod, Args: args, Reply: reply, Done: done}
	c.start(serviceMethod, args, reply, (*goCall)(call), c)
	return call
}

// Notify sends a notification: a call without an answer, so that the client does not learn
// whether it ran. It needs a codec that has notifications: those of JSON-RPC, over a stream or
// with codec/jsonhttp, or any other that implements codec.Notifier. With another codec, such
// as gob, the error matches errors.ErrUnsupported.
//
// A nil error means only that the notification was written to a connection. Like a call, it
// waits for an endpoint and may move to another one; it is not retried once it may have been
// sent, and not hedged. Other errors are those of CallContext, and nil args mean the same as
// there. ClientTrace reports a notification as a call that ends when it is written; it has no
// effect on breakers, detectors and latencies. Dialer.Intercept is not called for it.
func (c *Client) Notify(ctx context.Context, serviceMethod string, args any) error {
	if !c.begin() {
		return ErrShutdown
	}
	defer c.end()
	cl := c.newCall(serviceMethod, args, nil)
	cl.notify = true
	err := cl.run(ctx)
	runtime.KeepAlive(c)
	return err
}

// Close ends all calls in flight with [ErrShutdown], closes the connections, and
// waits for the client's other goroutines. Goroutines of calls end soon
// afterwards, and a dial ends when its context does. Close returns the error of closing
// the connection that was given to [NewClient] or the codec given to
// [NewClientWithCodec], and ErrShutdown if the client is closed already.
//
// A connection is not closed during a write: the write has half a second to end, then its
// deadline is set to the past, and only if it does not end then, the connection is closed
// all the same. Close waits for up to 2 s for the Close of a connection or codec.
func (c *Client) Close() error {
	c.cleanup.Stop()
	return c.core.close()
}

// CloseContext refuses new calls with [ErrShutdown], waits until the calls in flight have
// ended, those of Go included, and closes the client. The calls in flight may still be
// retried; their deadlines limit how long that takes. CloseContext does not wait for the
// slower attempt of a hedged call.
//
// If ctx ends first, the client is closed at once, as by Close, and the error is
// that of ctx, with its cause. If the client is closed already, or Close is called meanwhile,
// CloseContext returns ErrShutdown. Otherwise it returns the error of Close. As with Close, a
// hook of [ClientTrace] must not call it.
func (c *Client) CloseContext(ctx context.Context) error {
	d := &c.underway
	d.over.Store(true)
	for d.calls.Load() > 0 {
		select {
		case <-d.idle:
		case <-c.ctx.Done():
			return ErrShutdown
		case <-ctx.Done():
			if errors.Is(c.Close(), ErrShutdown) {
				return ErrShutdown
			}
			return cause.Of(ctx)
		}
	}
	return c.Close()
}
