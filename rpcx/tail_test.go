package rpcx

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTailIsAsSortingSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"equal":       func() time.Duration { return 3 * time.Millisecond },
		"uniform":     func() time.Duration { return time.Duration(rng.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(time.Millisecond)) },
		"log-normal":  func() time.Duration { return time.Duration(math.Exp(2*rng.NormFloat64()) * float64(time.Millisecond)) },
		"stalls": func() time.Duration {
			if rng.IntN(100) == 0 {
				return 500 * time.Millisecond
			}
			return time.Millisecond
		},
		"tiny": func() time.Duration { return time.Duration(rng.IntN(5000)) },
	} {
		var x tail
		var all []time.Duration
		for i := range int(tailSpan / tailEvery) { // before the windows turn
			d := draw()
			all = append(all, d)
			x.add(time.Duration(i)*tailEvery, d)
			if i+1 < tailLeast {
				require.Zero(t, x.slow(), name)
				continue
			}
			want, got := sortedQuantile(all, 0.95), x.slow()
			require.Greater(t, got, want, name)
			require.LessOrEqual(t, got, want+want/perOctave+1<<unitBits, "%s: %d", name, i)
		}
	}
}

// What is over is forgotten within a minute, and no sooner than in half of one.
func TestTailAdapts(t *testing.T) {
	var x tail
	now := time.Duration(0)
	feed := func(d, every, during time.Duration) {
		for end := now + during; now < end; now += every {
			x.add(now, d)
		}
	}
	for _, change := range []struct{ from, to time.Duration }{
		{time.Millisecond, 100 * time.Millisecond},
		{100 * time.Millisecond, time.Millisecond},
	} {
		feed(change.from, 10*time.Millisecond, 2*time.Minute)
		require.Equal(t, upperEdge(bucketOf(change.from)), x.slow())
		feed(change.to, 10*time.Millisecond, time.Minute+2*tailEvery)
		require.Equal(t, upperEdge(bucketOf(change.to)), x.slow())
	}
	feed(time.Second, 10*time.Millisecond, time.Second)
	require.Equal(t, upperEdge(bucketOf(time.Millisecond)), x.slow(), "a second is too short")
}

// A client that calls once a second needs longer, and knows no less.
func TestTailOfFewCalls(t *testing.T) {
	var x tail
	for i := range 1000 {
		x.add(time.Duration(i)*time.Second, time.Millisecond)
		require.Equal(t, i+1 >= tailLeast, x.slow() > 0)
	}
	var all tally
	all.add(&x.windows[0])
	all.add(&x.windows[1])
	require.LessOrEqual(t, all.total, uint64(2*tailLeast), "what is older is forgotten")
}

func TestTailIsSharedAndAllocatesNothing(t *testing.T) {
	var x tail
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				x.add(time.Duration(i)*time.Second/10, time.Millisecond)
			}
		})
	}
	wg.Wait()
	require.Equal(t, upperEdge(bucketOf(time.Millisecond)), x.slow())
	now := time.Hour
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		x.add(now, time.Millisecond)
		now += time.Second
	}))
}

func BenchmarkTail(b *testing.B) {
	var x tail
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			x.add(time.Duration(i)*time.Microsecond, time.Millisecond)
		}
	})
}
