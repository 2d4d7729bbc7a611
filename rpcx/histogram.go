package rpcx

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations. A bucket is an eighth of a power of two of
// microseconds wide, so that its edge is at most an eighth above what it holds.
// It is safe for concurrent use.
type histogram [buckets]atomic.Uint32

const (
	buckets   = 256 // up to four hours
	unitBits  = 10  // 1.024 µs
	eighths   = 3   // bits
	perOctave = 1 << eighths
)

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) >> unitBits
	if v < perOctave {
		return int(v)
	}
	octave := bits.Len64(v) - eighths - 1
	return min(octave<<eighths+int(v>>octave), buckets-1) //nolint:gosec // v>>octave is less than 16
}

// upperEdge is the first duration beyond a bucket.
func upperEdge(bucket int) time.Duration {
	octave := max(bucket>>eighths-1, 0)
	return time.Duration((bucket-octave<<eighths+1)<<octave) << unitBits
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)].Add(1) }

// A tally is what histograms came to when they were read.
type tally struct {
	counts [buckets]uint64
	total  uint64
}

func (t *tally) add(h *histogram) {
	for i := range h {
		n := uint64(h[i].Load())
		t.counts[i] += n
		t.total += n
	}
}

// quantile is the duration that the share q of all does not exceed, rounded up by
// at most an eighth; 0 of none.
func (t *tally) quantile(q float64) time.Duration {
	rank := uint64(q*float64(t.total-min(t.total, 1))) + 1 // counted from 1
	for i, n := range &t.counts {
		if n >= rank {
			return upperEdge(i)
		}
		rank -= n
	}
	return 0
}
