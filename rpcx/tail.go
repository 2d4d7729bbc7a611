package rpcx

import (
	"sync"
	"sync/atomic"
	"time"
)

// tail knows how long the slow ones of many attempts take: their 95th percentile,
// over the last half minute to minute, or longer where there were fewer than a
// hundred. It counts them in two histograms whose buckets grow with what they hold,
// of which the older one is emptied in turn (as HdrHistogram's recorders do). Adding to
// it costs one atomic addition; now and then, whoever adds computes the percentile
// for all.
//
// Times are counted from any one moment.
type tail struct {
	windows [2]histogram
	current atomic.Uint32 // which of them counts
	due     atomic.Int64  // when the percentile is computed again
	p95     atomic.Int64  // 0 while it is not known

	mu     sync.Mutex    // protects following
	turned time.Duration // when the current window began
}

const (
	tailSpan  = 30 * time.Second // of a window
	tailLeast = 100              // attempts, for a percentile and for a window to be over
	tailEvery = 100 * time.Millisecond
)

// add counts an attempt that ended at now and took d.
func (t *tail) add(now, d time.Duration) {
	t.windows[t.current.Load()].add(d)
	if (int64(now) >= t.due.Load() || t.p95.Load() == 0) && t.mu.TryLock() {
		defer t.mu.Unlock()
		t.review(now)
	}
}

// slow is the percentile, 0 while it is not known.
func (t *tail) slow() time.Duration { return time.Duration(t.p95.Load()) }

// review computes the percentile, and turns the windows if it is time. The caller
// holds mu. What others add meanwhile may be lost with an emptied window.
func (t *tail) review(now time.Duration) {
	t.due.Store(int64(now + tailEvery))
	current := t.current.Load()
	var here, all tally
	here.add(&t.windows[current])
	if now-t.turned >= tailSpan && here.total >= tailLeast {
		current = 1 - current
		empty(&t.windows[current])
		t.current.Store(current)
		t.turned = now
	}
	all.add(&t.windows[0])
	all.add(&t.windows[1])
	if all.total >= tailLeast {
		t.p95.Store(int64(all.quantile(0.95)))
	}
}

func empty(h *histogram) {
	for i := range h {
		h[i].Store(0)
	}
}
