package latency

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sortedQuantile is the oracle of all quantiles: it sorts.
func sortedQuantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(q*float64(len(sorted)-1))]
}

func TestQuantilesAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"uniform":     func() float64 { return r.Float64() * 1e9 },
		"exponential": func() float64 { return r.ExpFloat64() * 20e6 },
		"long tail":   func() float64 { return 1e6 * math.Exp(2*r.NormFloat64()) },
		"two humps":   func() float64 { return 1e6 + float64(r.IntN(50)/49)*500e6 },
		"the same":    func() float64 { return 21e6 },
		"too short":   func() float64 { return float64(r.IntN(1000)) },
	} {
		for _, n := range []int{1, 2, 99, 10_000} {
			t.Run(fmt.Sprint(name, "/", n), func(t *testing.T) {
				var h Histogram
				var all []time.Duration
				for range n {
					d := time.Duration(draw())
					all = append(all, d)
					h.Add(0, d)
				}
				got := h.Read(0)
				require.EqualValues(t, n, got.Count)
				for _, q := range []float64{0, .5, .95, .99, .999, 1} {
					want := sortedQuantile(all, q)
					require.Greater(t, got.Quantile(q), want, q)
					require.LessOrEqual(t, got.Quantile(q), want+max(want/8, 1024), q)
				}
			})
		}
	}
}

func TestEveryDurationHasABucket(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 1023, 1024, 8 << 10, 1<<40 - 1, time.Hour} {
		require.GreaterOrEqual(t, upperEdge(bucketOf(d)), d)
	}
	require.Equal(t, buckets-1, bucketOf(math.MaxInt64))
	for b := range buckets - 1 {
		require.Equal(t, b, bucketOf(upperEdge(b)-1))
		require.Equal(t, b+1, bucketOf(upperEdge(b)))
	}
}
