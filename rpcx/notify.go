package rpcx

import (
	"context"
	"runtime"
)

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
