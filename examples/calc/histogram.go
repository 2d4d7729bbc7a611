package main

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits    = 5 // 32 steps in each power of two: a quantile is at most 1/32 too high
	subBuckets = 1 << subBits
	buckets    = (64 - subBits + 1) * subBuckets
)

// A histogram counts durations in logarithmic buckets; its size does not
// depend on how many there are. The zero value is empty.
type histogram struct {
	count   [buckets]uint64
	total   uint64
	longest time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.count[bucket(uint64(d))]++
	h.total++
	h.longest = max(h.longest, d)
}

// quantile returns a duration that the fraction q of those added does not
// exceed, 0 if there are none: the nearest rank's, rounded up to its bucket.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(max(uint64(math.Ceil(q*float64(h.total))), 1), h.total)
	var seen uint64
	for i, n := range h.count {
		seen += n
		if seen >= rank {
			return min(upper(i), h.longest)
		}
	}
	return h.longest
}

// bucket maps v to its bucket: exact below 32, then by the leading six bits.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subBuckets + int(v>>shift)
}

// upper is the largest duration that falls into bucket i.
func upper(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i/subBuckets - 1
	lead := uint64(i - shift*subBuckets)
	return time.Duration((lead+1)<<shift - 1)
}
