// Package latency computes quantiles of the durations of recent operations, and a slowly
// moving mean of the durations of each method.
//
// It guarantees:
//   - A quantile is not less than the exact one, and exceeds it by at most an eighth, or
//     by 1.024 µs if that is more. Durations beyond four hours count as four hours.
//   - A duration counts for at least half a minute and at most a minute, or longer
//     because of [Histogram].MinCount.
//   - Add is one atomic addition. It allocates nothing, except for a kilobyte at the first
//     duration and another one half a minute later. A Histogram without durations has
//     less than 100 bytes.
//   - [Paces] has at most 1024 methods. Its Add does not wait for another Add of the same method.
//
// The package does not read the clock. The caller passes the time as a duration since any
// fixed moment. It must import only the standard library.
package latency

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// windowSpan is the length of a window. The durations of the current window and of
	// the previous one count.
	windowSpan = 30 * time.Second
	// refreshEvery is how long P95 returns the same value.
	refreshEvery = 100 * time.Millisecond
)

// A Histogram counts the durations of the last half minute to minute. The zero value is
// ready for use. It is safe for concurrent use.
type Histogram struct {
	// MinCount is the number of durations that count whatever their age. P95 is not known
	// with fewer. It must not be changed after the first Add. 0 means none.
	MinCount uint64

	current atomic.Pointer[counts] // the current window; nil without durations
	end     atomic.Int64           // when the current window ends

	due atomic.Int64 // when p95 is computed again
	p95 atomic.Int64 // 0 if not known

	mu          sync.Mutex // protects following, and changes of current and end
	previous    *counts    // the window before the current one
	previousEnd time.Duration
}

// Add counts a duration that ended at now.
func (h *Histogram) Add(now, d time.Duration) {
	w := h.current.Load()
	if w == nil || int64(now) >= h.end.Load() {
		w = h.advance(now)
	}
	w.add(d) // w may have become the previous window, where d counts, too
}

// advance begins a new window if the current one has ended, and returns the current one.
func (h *Histogram) advance(now time.Duration) *counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	current, end := h.current.Load(), time.Duration(h.end.Load())
	switch {
	case current == nil:
		current = new(counts)
	case now < end:
		return current // a concurrent Add has begun it
	case h.MinCount > 0 && current.total() < h.MinCount:
		h.end.Store(int64(now)) // the window continues until it has MinCount durations
		return current
	default:
		next := h.previous
		if next == nil {
			next = new(counts)
		}
		next.clear() // its last Add was at least a windowSpan ago
		h.previous, h.previousEnd = current, end
		current = next
	}
	h.end.Store(int64(now + windowSpan))
	h.current.Store(current)
	return current
}

// Read returns the counts at now. If no duration counts any more, it releases the memory.
func (h *Histogram) Read(now time.Duration) (s Summary) {
	h.mu.Lock()
	defer h.mu.Unlock()
	current := h.current.Load()
	if current == nil {
		return s
	}
	if h.isOver(now, time.Duration(h.end.Load())) {
		h.current.Store(nil)
		h.previous = nil
		return s
	}
	s.add(current)
	if h.previous != nil && !h.isOver(now, h.previousEnd) {
		s.add(h.previous)
	}
	return s
}

// isOver reports whether a window that ended at end does not count any more.
func (h *Histogram) isOver(now, end time.Duration) bool {
	return h.MinCount == 0 && now >= end+windowSpan
}

// P95 returns the 95th percentile, which may be up to 100 ms old. It returns 0 if there are
// no durations, or fewer than MinCount. It is fast enough to be called for every operation:
// mostly it costs two atomic loads.
func (h *Histogram) P95(now time.Duration) time.Duration {
	due := h.due.Load()
	if int64(now) >= due && h.due.CompareAndSwap(due, int64(now+refreshEvery)) || h.p95.Load() == 0 {
		var p95 time.Duration
		if s := h.Read(now); s.Count >= h.MinCount {
			p95 = s.Quantile(0.95)
		}
		h.p95.Store(int64(p95))
	}
	return time.Duration(h.p95.Load())
}
