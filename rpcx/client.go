package rpcx

import (
	"context"
	"log"
	"runtime"
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
