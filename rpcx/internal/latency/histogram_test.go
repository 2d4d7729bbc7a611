package latency

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const minCount = 100 // of the tests of P95

// count returns how many durations are known at now.
func count(h *Histogram, now time.Duration) uint64 {
	s := h.Read(now)
	return s.Count
}

// median returns the median at now, to a millisecond.
func median(h *Histogram, now time.Duration) time.Duration {
	s := h.Read(now)
	return s.Quantile(.5).Truncate(time.Millisecond)
}

func TestDurationsAreForgotten(t *testing.T) {
	var h Histogram
	require.Zero(t, count(&h, time.Hour))
	h.Add(time.Second, 10*time.Millisecond)
	require.Equal(t, 10*time.Millisecond, median(&h, time.Second))
	require.Equal(t, 10*time.Millisecond, median(&h, 61*time.Second-1))
	require.Zero(t, median(&h, 61*time.Second))
	h.Add(70*time.Second, 10*time.Millisecond)
	for range 3 {
		h.Add(131*time.Second, 20*time.Millisecond)
	}
	require.Equal(t, 20*time.Millisecond, median(&h, 132*time.Second))
	require.EqualValues(t, 3, count(&h, 132*time.Second), "the first is forgotten, although nothing was read meanwhile")
	h.Add(29*time.Second, 20*time.Millisecond) // late
	require.EqualValues(t, 4, count(&h, 161*time.Second))
	require.Zero(t, count(&h, 3*time.Hour))
}

// The oracle is a list of all durations with their times.
func TestEachDurationCountsForHalfAMinuteToAMinute(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, pause := range []time.Duration{100 * time.Millisecond, time.Second, 20 * time.Second, 45 * time.Second} {
		var h Histogram
		var added []time.Duration
		for at := time.Duration(0); len(added) < 2000; {
			at += time.Duration(rng.Int64N(int64(pause)))
			h.Add(at, time.Millisecond)
			added = append(added, at)
			at += time.Duration(rng.Int64N(int64(pause)))
			var least, most uint64
			for i := len(added) - 1; i >= 0 && added[i] > at-2*windowSpan; i-- {
				most++
				if added[i] > at-windowSpan {
					least++
				}
			}
			if got := count(&h, at); got < least || got > most {
				t.Fatalf("%v: %d, and not from %d to %d", pause, got, least, most)
			}
		}
	}
}

func TestNoDurationIsLostWhenAWindowBegins(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				h.Add(time.Duration(i)*4*time.Millisecond, time.Millisecond) // 40 s
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 40_000, count(&h, 40*time.Second))
}

func TestMemoryIsSmallAndFreed(t *testing.T) {
	var h Histogram
	require.LessOrEqual(t, unsafe.Sizeof(h), uintptr(100))
	require.LessOrEqual(t, unsafe.Sizeof(counts{}), uintptr(1024))
	require.Zero(t, testing.AllocsPerRun(10, func() { h.Read(0) }))
	h.Add(0, time.Millisecond)
	require.Nil(t, h.previous, "one window is enough at first")
	h.Add(windowSpan, time.Millisecond)
	require.EqualValues(t, 2, count(&h, windowSpan))
	require.Zero(t, count(&h, time.Hour))
	require.Nil(t, h.current.Load())
	require.Nil(t, h.previous)
	h.Add(time.Hour, time.Millisecond)
	require.EqualValues(t, 1, count(&h, time.Hour))
}

func TestAddIsSharedAndAllocatesNothing(t *testing.T) {
	for _, h := range []*Histogram{{}, {MinCount: minCount}} {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 2500 {
					h.Add(time.Duration(i)*time.Second*2/5, time.Millisecond)
					h.P95(time.Duration(i) * time.Second * 2 / 5)
				}
			})
		}
		wg.Wait()
		require.Equal(t, upperEdge(bucketOf(time.Millisecond)), h.P95(1000*time.Second))
		now := time.Hour
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			h.Add(now, time.Millisecond)
			h.P95(now)
			now += time.Second
		}))
	}
}

func TestP95AgainstSorting(t *testing.T) {
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
		h := Histogram{MinCount: minCount}
		var all []time.Duration
		for i := range int(windowSpan / refreshEvery) { // in one window
			d, now := draw(), time.Duration(i)*refreshEvery
			all = append(all, d)
			h.Add(now, d)
			if i+1 < minCount {
				require.Zero(t, h.P95(now), name)
				continue
			}
			want, got := sortedQuantile(all, 0.95), h.P95(now)
			require.Greater(t, got, want, name)
			require.LessOrEqual(t, got, want+want/perOctave+1<<unitBits, "%s: %d", name, i)
		}
	}
}

// The past is forgotten within a minute, and no sooner than in half of one.
func TestP95Adapts(t *testing.T) {
	h := Histogram{MinCount: minCount}
	now := time.Duration(0)
	feed := func(d, every, during time.Duration) {
		for end := now + during; now < end; now += every {
			h.Add(now, d)
		}
	}
	for _, change := range []struct{ from, to time.Duration }{
		{time.Millisecond, 100 * time.Millisecond},
		{100 * time.Millisecond, time.Millisecond},
	} {
		feed(change.from, 10*time.Millisecond, 2*time.Minute)
		require.Equal(t, upperEdge(bucketOf(change.from)), h.P95(now))
		feed(change.to, 10*time.Millisecond, time.Minute+2*refreshEvery)
		require.Equal(t, upperEdge(bucketOf(change.to)), h.P95(now))
	}
	feed(time.Second, 10*time.Millisecond, time.Second)
	require.Equal(t, upperEdge(bucketOf(time.Millisecond)), h.P95(now), "a second is too short")
}

// P95 does not follow each duration, but each tenth of a second.
func TestP95IsComputedNowAndThen(t *testing.T) {
	var h Histogram
	h.Add(0, time.Millisecond)
	was := h.P95(0)
	h.Add(0, time.Second)
	h.Add(0, time.Second)
	require.Equal(t, was, h.P95(refreshEvery-1))
	require.Greater(t, h.P95(refreshEvery), time.Second)
	require.Zero(t, h.P95(time.Hour), "all is forgotten")
}

// With one duration a second it takes longer to learn as much, and to forget.
func TestP95OfFewDurations(t *testing.T) {
	h := Histogram{MinCount: minCount}
	for i := range 1000 {
		now := time.Duration(i) * time.Second
		h.Add(now, time.Millisecond)
		require.Equal(t, i+1 >= minCount, h.P95(now) > 0)
		require.GreaterOrEqual(t, count(&h, now), uint64(min(i+1, minCount)))
		require.LessOrEqual(t, count(&h, now), uint64(2*minCount), "older ones are forgotten")
	}
	require.GreaterOrEqual(t, count(&h, 100*time.Hour), uint64(minCount))
}

func BenchmarkAdd(b *testing.B) {
	h := Histogram{MinCount: minCount}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			h.Add(time.Duration(i)*time.Microsecond, time.Millisecond)
		}
	})
}

func BenchmarkP95(b *testing.B) {
	h := Histogram{MinCount: minCount}
	for range minCount {
		h.Add(0, time.Millisecond)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if h.P95(time.Duration(i)*time.Microsecond) == 0 {
				b.Error("not known")
			}
		}
	})
}
