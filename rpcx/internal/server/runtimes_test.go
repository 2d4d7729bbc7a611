package server

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of a method's recent runs, less than one in a hundred may be long.
func TestRunTimes(t *testing.T) {
	const short, long = shortRun, shortRun + 1
	type runs struct {
		n    int
		took time.Duration
	}
	warm := runs{10_000, short}
	for name, c := range map[string]struct {
		runs []runs
		want bool
	}{
		"new":                      {nil, false},
		"hardly known":             {[]runs{{100, short}}, false},
		"known":                    {[]runs{{101, short}}, true},
		"always long":              {[]runs{{10_000, long}}, false},
		"right behind a long one":  {[]runs{warm, {1, long}}, false},
		"one long one before":      {[]runs{warm, {1, time.Hour}, {1, short}}, true},
		"two long ones before":     {[]runs{warm, {2, long}, {100, short}}, false},
		"two long ones long ago":   {[]runs{warm, {2, long}, {101, short}}, true},
		"many long ones long ago":  {[]runs{{10_000, long}, {101, short}}, true},
		"long and short by turns":  {[]runs{warm, {1, long}, {1, short}, {1, long}, {1, short}, {1, long}, {1, short}}, false},
		"no more than at rest":     {[]runs{warm, warm, {1, long}, {1, short}, {1, long}, {50, short}}, false},
		"a long one, well behind":  {[]runs{warm, {1, long}, {100, short}, {1, long}, {1, short}}, true},
		"a long one, closer by it": {[]runs{warm, {1, long}, {90, short}, {1, long}, {1, short}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			times := new(methods).of("A.B")
			for _, r := range c.runs {
				for range r.n {
					times.record(r.took)
				}
			}
			require.Equal(t, c.want, times.short())
		})
	}
	t.Run("none", func(t *testing.T) {
		var times *runTimes
		times.record(short)
		require.False(t, times.short())
	})
}

// A method is short most of the time, or hardly ever, as its long runs are fewer or more
// than one in a hundred.
func TestRunTimesFollowTheQuantile(t *testing.T) {
	for _, c := range []struct {
		every       int // of so many runs, one is long
		atLeast, at float64
	}{
		{1000, 0.99, 1}, {200, 0.99, 1}, {50, 0, 0.01}, {10, 0, 0.01}, {2, 0, 0},
	} {
		t.Run(fmt.Sprint(c.every), func(t *testing.T) {
			const runs = 100_000
			times, n := new(methods).of("A.B"), 0
			for i := range runs {
				if times.short() {
					n++
				}
				took := time.Microsecond
				if i%c.every == 0 {
					took = time.Millisecond
				}
				times.record(took)
			}
			require.GreaterOrEqual(t, float64(n)/runs, c.atLeast)
			require.LessOrEqual(t, float64(n)/runs, c.at)
		})
	}
}

// A long run is not lost among those that end at the same time.
func TestRunTimesAreSafeForConcurrentUse(t *testing.T) {
	times := new(methods).of("A.B")
	for range 2 * maxLevel {
		times.record(0)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 10 {
				times.record(0)
			}
			times.record(time.Second)
		})
	}
	wg.Wait()
	require.False(t, times.short())
}

// There are only so many records, and a method keeps its own.
func TestMethodsAreBounded(t *testing.T) {
	var m methods
	first := m.of("0")
	require.NotNil(t, first)
	for i := range 2 * maxMethods {
		require.Equal(t, i < maxMethods, m.of(fmt.Sprint(i)) != nil, i)
	}
	require.Same(t, first, m.of("0"))
	require.Len(t, *m.known.Load(), maxMethods)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		times := m.of("999")
		times.record(time.Second)
		times.short()
		m.of("1000")
	}))
}
