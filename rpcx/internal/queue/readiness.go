package queue

import (
	"context"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"
)

// Readiness lets calls wait until an endpoint may take them.
type Readiness struct {
	waiting atomic.Int64 // calls that wait

	mu     sync.Mutex    // protects following
	change chan struct{} // closed at the next change; nil if no call waits for that
}

// next returns what is closed when an endpoint may have begun to take calls from now on.
func (r *Readiness) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.change == nil {
		r.change = make(chan struct{})
	}
	return r.change
}

// Announce lets the calls that wait look again.
func (r *Readiness) Announce() {
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.change != nil {
		close(r.change)
		r.change = nil
	}
}

// lookEvery is how often a call that waits looks for an endpoint unasked: of a large fleet,
// the client may begin to use another part, which is not announced.
const lookEvery = 250 * time.Millisecond

// Wait waits until up reports that an endpoint takes calls, or the context or the client
// ends: then the error is ctx's, or rpc.ErrShutdown.
func (r *Readiness) Wait(ctx, client context.Context, up func() bool) error {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		change := r.next()
		if up() {
			return nil
		}
		select {
		case <-change:
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-client.Done():
			return rpc.ErrShutdown
		}
	}
}
