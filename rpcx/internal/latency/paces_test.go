package latency

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPaceIsTheMeanAndFollowsSlowly(t *testing.T) {
	var p Paces
	require.Zero(t, p.Of("M"))
	now := time.Duration(0)
	for i := range 1000 {
		now += 10 * time.Millisecond
		p.Add("M", now, time.Duration(i%2)*20*time.Millisecond+10*time.Millisecond)
	}
	require.InDelta(t, 20*time.Millisecond, p.Of("M"), float64(time.Millisecond))
	for range 100 { // a second of slowness is not usual yet
		now += 10 * time.Millisecond
		p.Add("M", now, time.Second)
	}
	require.Less(t, p.Of("M"), 150*time.Millisecond)
	for range 30_000 { // five minutes are
		now += 10 * time.Millisecond
		p.Add("M", now, time.Second)
	}
	require.Greater(t, p.Of("M"), 900*time.Millisecond)
	now += time.Hour
	p.Add("M", now, 0)
	require.InDelta(t, time.Second/2, p.Of("M"), float64(100*time.Millisecond), "one answer is not all, however long ago the last")
}

func TestPacesAreBounded(t *testing.T) {
	var p Paces
	for i := range 10 * maxPaces {
		p.Add(fmt.Sprint(i), 0, time.Second)
		require.LessOrEqual(t, len(p.byName), maxPaces)
	}
	p.Add("M", 0, time.Second)
	require.Equal(t, time.Second, p.Of("M"), "a method that is called is known")
}
