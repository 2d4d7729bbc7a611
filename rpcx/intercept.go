package rpcx

import (
	"context"
	"fmt"
	"runtime"

	"resilientrpc/rpcx/internal/argcopy"
)

// A CallFunc makes a call, as [Client.CallContext] does. [Dialer].Intercept gets one, and may
// call it several times, concurrently, and after Intercept has returned. After the client is
// closed, it returns [ErrShutdown].
type CallFunc func(ctx context.Context, serviceMethod string, args, reply any) error

// intercepted makes a call, which has begun, through Dialer.Intercept if there is one.
func (c *core) intercepted(ctx context.Context, method string, args, reply any) error {
	if intercept := c.dialer.Intercept; intercept != nil {
		return intercept(ctx, method, args, reply, c.next)
	}
	return c.invoke(ctx, method, args, reply)
}

// nextCall is the CallFunc that Dialer.Intercept gets. The call has been counted as under way
// before, so that CloseContext waits for what Intercept makes of it.
func (c *core) nextCall(ctx context.Context, method string, args, reply any) error {
	if c.closed() {
		return ErrShutdown
	}
	return c.invoke(ctx, method, args, reply)
}

// startIntercepted begins a call of Go with Dialer.Intercept, which needs a goroutine to
// run on, and takes the caller's if args cannot be copied. If Intercept panics, or ends the
// goroutine, that becomes the error of the call.
func (c *core) startIntercepted(method string, args, reply any, result completion, caller *Client) {
	run := func(args any) {
		err := errPanicked // and no value: it called runtime.Goexit
		returned := false
		defer func() {
			if !returned {
				if p := recover(); p != nil {
					err = fmt.Errorf("%w: %v", errPanicked, p)
				}
				err = &CallError{Method: method, Sent: MaybeSent, Err: err}
			}
			result.complete(err)
			c.end()
			runtime.KeepAlive(caller)
		}()
		err = c.intercepted(context.Background(), method, args, reply)
		returned = true
	}
	if kept, ok := argcopy.Copy(args, !c.whole.Load()); ok {
		go run(kept)
		return
	}
	run(args)
}
