package detector_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/detector"
)

// ping simulates n slots of a second. In each the peer is pinged once and answers after
// rtt. It returns when the next slot begins.
func ping(d *detector.Detector, n int, rtt func() time.Duration) time.Time {
	now := start
	for range n {
		d.Expect(now)
		took := rtt()
		d.Heartbeat(now.Add(took))
		now = now.Add(took.Truncate(time.Second) + time.Second)
	}
	return now
}

func lan(r *rand.Rand) func() time.Duration {
	return func() time.Duration {
		return time.Duration(300e3 * math.Exp(0.4*r.NormFloat64()))
	}
}

// TestDetectionTime holds the zero Config to its word, from the first ping on
// and after a long life: a peer that is asked once a second and falls silent is
// convicted within 2.5 s.
func TestDetectionTime(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 20, 100, 1000, 5000} {
		d := newDetector(t, detector.Config{})
		now := ping(d, n, lan(rand.New(rand.NewPCG(1, 1))))
		d.Expect(now)
		silence := d.Deadline(8).Sub(now)
		require.LessOrEqual(t, silence, 2500*time.Millisecond, "after %d pings", n)
		require.Greater(t, silence, 1500*time.Millisecond, "after %d pings: a slot and the pause", n)
		require.False(t, d.Suspect(now.Add(silence-1)))
		require.True(t, d.Suspect(now.Add(silence)))
	}
}

// TestDetectionTimeOfBeats is the same for a peer that sends heartbeats unprompted, where
// only the distribution bounds the time.
func TestDetectionTimeOfBeats(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 20, 100, 1000} {
		d := regular(t, detector.Config{}, n, time.Second)
		last := start.Add(time.Duration(n) * time.Second)
		require.LessOrEqual(t, d.Deadline(8).Sub(last), 3*time.Second, "after %d intervals", n)
	}
}

// TestSlowCall: during a slow call the first ping may be sent a slot and a half after the
// call. Until the answer to the ping, phi must stay below 1 for a peer that was never
// late, however few intervals were learned.
func TestSlowCall(t *testing.T) {
	for _, n := range []int{0, 10, 1000, 20_000} {
		d := newDetector(t, detector.Config{})
		now := ping(d, n, lan(rand.New(rand.NewPCG(7, 7))))
		d.Expect(now)
		require.Greater(t, d.Deadline(1).Sub(now), 1510*time.Millisecond, "after %d pings", n)
		require.Greater(t, d.Deadline(8).Sub(now), 1750*time.Millisecond, "after %d pings", n)
	}
}

// TestMaxSilence: what was learned does not ask for more patience than the
// user has, and phi stays the exact inverse of Deadline across the bound.
func TestMaxSilence(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	stalls := func() time.Duration { return time.Duration(2e9 * r.Float64() * r.Float64()) }
	for _, c := range []struct {
		name string
		max  time.Duration
		want time.Duration
	}{
		{"default", 0, 2500 * time.Millisecond},
		{"given", 1700 * time.Millisecond, 1700 * time.Millisecond},
	} {
		d := newDetector(t, detector.Config{MaxSilence: c.max})
		now := ping(d, 1000, stalls)
		d.Expect(now)
		require.Equal(t, c.want, d.Deadline(8).Sub(now), c.name)
		require.Equal(t, 8.0, d.Phi(now.Add(c.want)), c.name)
		require.Less(t, d.Phi(now.Add(c.want-1)), 8.0, c.name)
	}
	d := newDetector(t, detector.Config{MaxSilence: -1})
	now := ping(d, 1000, stalls)
	d.Expect(now)
	require.Greater(t, d.Deadline(8).Sub(now), 4*time.Second, "no bound")
}

// TestLossIsExpected: with one beat in ten lost, silences of two and three
// periods are ordinary, and phi puts a number to them.
func TestLossIsExpected(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	d := newDetector(t, detector.Config{AcceptablePause: -1, MinStdDev: -1})
	last := start
	for i := range 20_000 {
		if r.Float64() < 0.1 {
			continue
		}
		last = start.Add(time.Duration(i)*time.Second + time.Duration(r.ExpFloat64()*2e6))
		d.Heartbeat(last)
	}
	for lost, want := range []float64{0, 1, 2, 3} {
		at := last.Add(time.Duration(lost)*time.Second + time.Second/2)
		require.InDelta(t, want, d.Phi(at), 0.5, "%d lost", lost)
	}
}

// TestOneLateHeartbeat: Normal is so sure of a regular peer that one pause
// would have been a death sentence a hundred digits long.
func TestOneLateHeartbeat(t *testing.T) {
	beats := func(m detector.Model) *detector.Detector {
		d := newDetector(t, detector.Config{Model: m, AcceptablePause: -1, MinStdDev: time.Millisecond})
		for i := range 5000 {
			d.Heartbeat(start.Add(time.Duration(i) * 100 * time.Millisecond))
		}
		return d
	}
	at := start.Add(4999*100*time.Millisecond + 150*time.Millisecond)
	require.Greater(t, beats(detector.Normal).Phi(at), 300.0)
	require.Less(t, beats(detector.LossAware).Phi(at), 8.0)
}

// FuzzLaw: whatever was heard, phi is a number, does not fall while the silence
// lasts (beyond the last digits of its rounding), and Deadline is its inverse.
func FuzzLaw(f *testing.F) {
	f.Add([]byte{10, 10, 10, 30, 10}, uint8(0), int64(0), int64(0), 8.0)
	f.Add([]byte{0, 255, 0, 255, 3}, uint8(0), int64(1), int64(-1), 300.0)
	f.Add([]byte{}, uint8(1), int64(-1), int64(1e9), 0.001)
	f.Add([]byte{200, 1, 1, 1}, uint8(2), int64(1<<46), int64(1<<46), 12.5)
	f.Fuzz(func(t *testing.T, beats []byte, model uint8, minSD, pause int64, phi float64) {
		cfg := detector.Config{
			Model:           detector.Model(model % 3),
			MinStdDev:       time.Duration(minSD),
			AcceptablePause: time.Duration(pause),
		}
		if model >= 128 {
			cfg.FirstInterval = -1
		}
		d, err := detector.New(cfg)
		if err != nil || !(phi > 0) || math.IsInf(phi, 0) {
			return
		}
		now := start
		d.Heartbeat(now)
		for _, b := range beats[:min(len(beats), 200)] {
			// From nothing to 10 hours, on a scale of powers.
			now = now.Add(time.Duration(math.Pow(float64(b), 5.6)))
			d.Heartbeat(now)
		}
		last := 0.0
		for silence := time.Duration(1); silence > 0 && silence < math.MaxInt64/4; silence += silence/7 + 1 {
			got := d.Phi(now.Add(silence))
			require.False(t, math.IsNaN(got) || math.IsInf(got, 0) || got < 0, "phi is %v after %v", got, silence)
			require.GreaterOrEqual(t, got, last*(1-1e-12)-1e-12, "after %v", silence)
			last = got
		}
		if at := d.Deadline(phi); !at.IsZero() {
			require.GreaterOrEqual(t, d.Phi(at), phi)
			require.True(t, at.Equal(now) || d.Phi(at.Add(-1)) < phi)
		}
	})
}
