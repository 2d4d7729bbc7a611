// Package latency counts how long recent operations took and computes quantiles of that, and
// the mean of each method, which follows slowly.
//
// It guarantees:
//   - A quantile is never below the exact one, and at most an eighth, or 1.024 µs if that
//     is more, above it. Four hours is the most it can be.
//   - A duration counts for at least half a minute and at most a minute, or longer where
//     [Histogram].MinCount asks for it.
//   - Add is one atomic addition and allocates nothing, but for a kilobyte at the first
//     duration and another one half a minute later. A Histogram without durations takes
//     less than 100 bytes.
//   - [Paces] knows at most 1024 methods. Add waits for no other Add of the same method.
//
// It reads no clock: the caller gives the time, counted from any one moment. It must not
// import any other package of the module, nor anything beyond the standard library.
package latency

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// windowSpan is how long durations are counted before a new window begins. The
	// present window and the one before it are reported.
	windowSpan = 30 * time.Second
	// refreshEvery is for how long P95 returns the same figure.
	refreshEvery = 100 * time.Millisecond
)

// A Histogram counts the durations of the last half minute to minute. The zero value is
// ready for use. It is safe for concurrent use.
type Histogram struct {
	// MinCount is the number of durations that are kept regardless of their age, and
	// without which P95 is not known. It must not be changed after the first Add.
	MinCount uint64

	current atomic.Pointer[counts] // the window that is counted in; nil without durations
	end     atomic.Int64           // when the next duration begins a new window

	due atomic.Int64 // when p95 is computed again
	p95 atomic.Int64 // 0 while it is not known

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
	w.add(d) // if w has just become the previous window, d counts there
}

// advance begins a new window if the current one is over, and returns the current one.
func (h *Histogram) advance(now time.Duration) *counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	current, end := h.current.Load(), time.Duration(h.end.Load())
	switch {
	case current == nil:
		current = new(counts)
	case now < end:
		return current // another Add was first
	case h.MinCount > 0 && current.total() < h.MinCount:
		h.end.Store(int64(now)) // it goes on, and ends no earlier than its last duration
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

// Read returns what is known at now. Once everything is forgotten, it also frees the
// memory.
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

// isOver reports whether a window that ended at end is too old to be reported.
func (h *Histogram) isOver(now, end time.Duration) bool {
	return h.MinCount == 0 && now >= end+windowSpan
}

// P95 returns the 95th percentile as of at most 100 ms before now; 0 while fewer than
// MinCount durations, or none, are known. It is for callers that ask for every
// operation: mostly it is two atomic loads.
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
