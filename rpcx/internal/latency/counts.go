package latency

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// counts is the number of durations in each bucket. There are eight buckets between two
// powers of two, so the upper edge of a bucket exceeds its durations by at most an
// eighth. It is safe for concurrent use.
type counts [buckets]atomic.Uint32

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

// upperEdge returns the first duration beyond a bucket.
func upperEdge(bucket int) time.Duration {
	octave := max(bucket>>eighths-1, 0)
	return time.Duration((bucket-octave<<eighths+1)<<octave) << unitBits
}

func (c *counts) add(d time.Duration) { c[bucketOf(d)].Add(1) }

func (c *counts) total() (n uint64) {
	for i := range c {
		n += uint64(c[i].Load())
	}
	return n
}

func (c *counts) clear() {
	for i := range c {
		c[i].Store(0)
	}
}

// A Summary is a copy of a Histogram's counts.
type Summary struct {
	Count   uint64 // number of durations
	buckets [buckets]uint64
}

func (s *Summary) add(c *counts) {
	for i := range c {
		n := uint64(c[i].Load())
		s.buckets[i] += n
		s.Count += n
	}
}

// Quantile returns the q-quantile of the durations, for q from 0 to 1, rounded up to the
// edge of its bucket. It returns 0 if there are no durations.
func (s *Summary) Quantile(q float64) time.Duration {
	rank := uint64(q*float64(s.Count-min(s.Count, 1))) + 1 // counted from 1
	for i, n := range &s.buckets {
		if n >= rank {
			return upperEdge(i)
		}
		rank -= n
	}
	return 0
}
