package rpcx

import (
	"context"
	"errors"
	"log"
	"runtime"

	"resilientrpc/rpcx/internal/cause"
)

// Client calls the methods of a service that one or more replicas serve. It is
// safe for concurrent use, and must be closed to release its connections. One that is
// dropped unclosed is closed once the garbage collector finds it and its last call has
// ended; a connection or codec that was given to it stays open, as in net/rpc.
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

// Caller is what [Invoke] needs of a client.
type Caller interface {
	CallContext(ctx context.Context, serviceMethod string, args, reply any) error
}

// Invoke calls a method and returns its reply, with the errors of CallContext. With
// an error, the reply is what was decoded before it, the zero value as a rule.
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

// CallContext calls the named method and waits for it to end, for ctx, or for
// Dialer.CallTimeout. Once it has returned, args and reply are not touched again; but see
// [NewClientWithCodec] for a codec that blocks. A reply that holds something already is
// decoded in place, and a call waits for that once it has begun. A
// [ServerError], or the [*codec.Error] of a JSON-RPC error object, and
// [ErrShutdown] come bare, any other error as a [*CallError].
func (c *Client) CallContext(ctx context.Context, serviceMethod string, args, reply any) error {
	if !c.begin() {
		return ErrShutdown
	}
	defer c.end()
	err := c.intercepted(ctx, serviceMethod, args, reply)
	runtime.KeepAlive(c)
	return err
}

// Go calls the named method asynchronously, with all that Call does. It returns
// the Call that is sent on done when the call ends; if done is nil, a new channel
// is made, and one without a buffer panics as in net/rpc. When Go returns, the
// request was written, or it waits: for room under a cap, for a connection, for a peer
// that does not read, or to be tried again. A call in flight costs memory, but no
// goroutine.
//
// When Go returns, args are the caller's again, as in net/rpc: args that may be sent
// later or again are copied, as far as the codec encodes them. That costs nothing for a
// struct without references, and one allocation for a pointer to one. A few types cannot
// be copied: those that encode themselves from private state behind pointers
// (big.Int is one) or that guard it with a lock, those that are cyclic, and, with a codec
// that is not of this module, those that have private pointers, maps or slices. Given such args,
// Go does not return before the request is written or the call has ended, and the
// request is not written again. With [Dialer].Intercept, the call takes a goroutine until
// it has ended, and with such args Go does not return before that.
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

// Notify sends a notification: a call that the server carries out without an answer, so that
// the client does not learn whether it did, or could. It needs a codec that has
// notifications: those of JSON-RPC, over a stream or with codec/jsonhttp, or one of yours that
// implements codec.Notifier. With another one, such as gob, the error matches
// errors.ErrUnsupported.
//
// A nil error says that the notification was written to a connection, and nothing
// of what became of it. It waits for an endpoint, and moves to another one,
// as a call does; it is not repeated once it may have been sent, and not hedged. Otherwise
// the error is that of CallContext, and nil args are as there. ClientTrace reports a
// notification as a call that ends when it is written; breakers, detectors and latencies
// learn nothing from it. Dialer.Intercept does not see it.
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
// afterwards; a dial under way ends when it sees its canceled context. It returns the error of closing the
// connection that was given to [NewClient] or the codec given to
// [NewClientWithCodec], and ErrShutdown if the client is closed already.
//
// Nothing is closed while it is written: a write under way has half a second to end,
// then its write deadline passes, and if that does not end it either, its connection is
// closed all the same. A connection or codec whose own Close does not return is waited for
// for 2 s, and left to itself.
func (c *Client) Close() error {
	c.cleanup.Stop()
	return c.core.close()
}

// CloseContext closes the client once the calls under way have ended, those of Go
// included. They may still be tried again, and end as they would without the closing; how long
// that takes is up to their deadlines. A new call gets [ErrShutdown] at once. An attempt
// that a hedge has outrun is no call under way.
//
// If ctx ends first, the client is closed at once, as by Close, and the error is
// that of ctx, with its cause. If Close is called meanwhile, it closes at once; then, and if the
// client is closed already, CloseContext returns ErrShutdown. Otherwise it returns
// what Close does. As with Close, a hook of [ClientTrace] must not call it.
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
