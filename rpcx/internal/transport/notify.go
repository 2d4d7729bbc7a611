package transport

import (
	"context"
	"errors"
	"fmt"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// ErrNoNotifications refuses a notification: the codec has none.
var ErrNoNotifications = fmt.Errorf("rpcx: the connection's codec has no notifications (those of JSON-RPC have): %w", errors.ErrUnsupported)

// Notify sends a notification. Of the exchange it uses Method and Args; nothing comes back,
// and its end is Notified once it has been written and is about to leave.
func (c *Conn) Notify(ctx context.Context, x *Exchange) Outcome {
	notifier, ok := c.codec.(codec.Notifier)
	if !ok {
		return Outcome{Cause: ArgsUnencodable, Err: ErrNoNotifications}
	}
	for {
		if err := c.Room(ctx); err != nil {
			return c.NotStarted(err)
		}
		if c.wire == nil {
			return c.notifyForeign(ctx, notifier, x)
		}
		c.writing.Lock()
		if c.wire.Full() {
			c.writing.Unlock()
			continue
		}
		return c.notifyFrame(notifier, x)
	}
}

// notifyFrame is what frame is for a request.
func (c *Conn) notifyFrame(notifier codec.Notifier, x *Exchange) Outcome {
	from := c.wire.BeginFrame()
	returned := false
	defer func() {
		c.wire.EndFrame()
		if !returned {
			c.mute.Store(true)
		}
		c.writing.Unlock()
		c.wire.Flush(false)
		if !returned {
			c.Retire()
		}
	}()
	out := c.notify(notifier, x.Method, x.Args, func() bool { return c.wire.Queued() == from })
	returned = true
	return out
}

// notify has the codec write a notification, for which it is reserved. Untouched says
// whether it has written nothing.
func (c *Conn) notify(notifier codec.Notifier, method string, args any, untouched func() bool) Outcome {
	c.mu.Lock()
	takes := c.state == open
	c.mu.Unlock()
	if !takes {
		return c.NotStarted(wire.ErrClosed)
	}
	if err := write(func() error { return notifier.Notify(method, args) }); err != nil {
		return c.notTaken(err, untouched())
	}
	c.meta.written++
	return Outcome{Cause: Notified, Sent: MaybeSent}
}
