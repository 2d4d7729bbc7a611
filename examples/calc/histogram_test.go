package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The oracle is the nearest rank of a sorted slice.
func TestQuantilesAgainstSortedSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 1000, 20_000} {
		var h histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(math.Exp(rng.Float64() * 25)) // 1 ns to 72 s
			h.add(all[i])
		}
		slices.Sort(all)
		require.Equal(t, all[n-1], h.longest)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := max(int(math.Ceil(q*float64(n))), 1)
			want, got := all[rank-1], h.quantile(q)
			require.GreaterOrEqual(t, got, want, "n=%d q=%v", n, q)
			require.LessOrEqual(t, float64(got), float64(want)*(1+1.0/subBuckets), "n=%d q=%v", n, q)
		}
	}
}

func TestEveryDurationIsWithinItsBucket(t *testing.T) {
	values := []uint64{0, 1, 31, 32, 33, 63, 64, 65, 127, 128, math.MaxInt64 - 1, math.MaxInt64}
	for shift := range 63 {
		values = append(values, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	for _, v := range values {
		i := bucket(v)
		require.Less(t, i, buckets)
		require.GreaterOrEqual(t, uint64(upper(i)), v)
		if i > 0 {
			require.Less(t, uint64(upper(i-1)), v)
		}
	}
}

func TestEmptyAndNegative(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	h.add(-time.Second) // a clock set back
	require.Zero(t, h.quantile(1))
	require.Equal(t, uint64(1), h.total)
}
