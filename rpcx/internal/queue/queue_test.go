package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Takers come, wait and give up in any order, many at the same moment. A wake-up
// that is lost leaves them waiting until time goes on, by the hour.
func TestNoWakeUpIsLost(t *testing.T) {
	const takers, most, rounds = 32, 3, 300
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(most, time.Hour)
		var holders, served, gone atomic.Int64
		var wg sync.WaitGroup
		for i := range takers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(3, uint64(i)))
				for range rounds {
					ctx, cancel := context.WithCancel(t.Context())
					if rng.IntN(3) == 0 {
						go cancel()
					}
					if !l.Empty() || !l.Take() {
						err := l.Wait(ctx, t.Context(), takers, l.Take)
						if cancel(); err != nil {
							if !errors.Is(err, context.Canceled) {
								t.Error(err)
							}
							gone.Add(1)
							continue
						}
					}
					cancel()
					if n := holders.Add(1); n > most {
						t.Errorf("%d have taken", n)
					}
					for range rng.IntN(3) {
						runtime.Gosched()
					}
					holders.Add(-1)
					served.Add(1)
					l.Give()
				}
			})
		}
		start := time.Now()
		wg.Wait()
		require.Zero(t, time.Since(start), "somebody waited in vain")
		require.Equal(t, int64(takers*rounds), served.Load()+gone.Load())
		require.Positive(t, gone.Load())
		require.Zero(t, l.taken.Load())
		require.True(t, l.Empty())
	})
}

// Room that comes between the look for it and the joining of an empty line pokes
// no one.
func TestRoomIsLookedForOnJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, time.Hour)
		require.True(t, l.Take())
		require.False(t, l.Take(), "one comes")
		l.Give()
		start := time.Now()
		require.NoError(t, l.Wait(t.Context(), t.Context(), 1, l.Take), "and stands in line")
		require.Zero(t, time.Since(start))
	})
}

// BenchmarkLimiter is what a cap costs a call that finds room.
func BenchmarkLimiter(b *testing.B) {
	l := NewLimiter(1_000, time.Second)
	var baseline atomic.Int64
	b.Run("baseline=counter", func(b *testing.B) {
		for b.Loop() {
			baseline.Add(1)
			baseline.Add(-1)
		}
	})
	b.Run("limiter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !l.Empty() || !l.Take() {
				b.Fatal("there is room")
			}
			l.Give()
		}
	})
}
