package rpcx

import (
	"context"
	"errors"
	"sync/atomic"

	"resilientrpc/rpcx/internal/cause"
)

// drain counts the calls under way, so that a graceful close can wait for them. A
// call counts itself before it looks whether it still may; closing looks at the
// count after having said so. One of the two sees the other.
type drain struct {
	calls atomic.Int64
	over  atomic.Bool   // no call may begin
	idle  chan struct{} // has room for one: the count may be zero
}

// begin counts a call, which then must end, or reports that it may not be made.
func (c *core) begin() bool {
	c.underway.calls.Add(1)
	if c.underway.over.Load() || c.closed() {
		c.end()
		return false
	}
	return true
}

func (c *core) end() {
	if c.underway.calls.Add(-1) == 0 && c.underway.over.Load() {
		select {
		case c.underway.idle <- struct{}{}:
		default: // CloseContext is about to look
		}
	}
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
