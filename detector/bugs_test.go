package detector_test

import (
	"math"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"resilientrpc/detector"
)

// Each test here is named after a bug that was found in another detector.

var models = []detector.Model{detector.LossAware, detector.Normal, detector.Exponential}

// 1-erf is 0, and phi infinite, from 8.2 deviations on; the logistic from 21.6.
func TestBugInfinitePhi(t *testing.T) {
	for _, m := range models {
		d := regular(t, detector.Config{Model: m, AcceptablePause: -1}, 100, time.Second)
		last := 0.0
		for silence := time.Second; silence < 200*365*24*time.Hour; silence *= 2 {
			phi := d.Phi(start.Add(100*time.Second + silence))
			require.False(t, math.IsInf(phi, 0) || math.IsNaN(phi), "%v after %v", m, silence)
			require.Greater(t, phi, last, "%v after %v", m, silence)
			last = phi
		}
	}
}

// The sample deviation of one interval is 0/0, and so is any over no variance.
func TestBugNaN(t *testing.T) {
	for _, m := range models {
		for n := range 4 {
			d := regular(t, detector.Config{Model: m, FirstInterval: -1, MinStdDev: -1, AcceptablePause: -1}, n, time.Second)
			for _, silence := range []time.Duration{0, 1, time.Second - 1, time.Second, time.Second + 1, time.Hour} {
				phi := d.Phi(start.Add(time.Duration(n)*time.Second + silence))
				require.False(t, math.IsInf(phi, 0) || math.IsNaN(phi), "%v, %d intervals, after %v", m, n, silence)
			}
		}
	}
}

// A zero interval, as of two beats read at once, drags the mean down or worse.
func TestBugZeroInterval(t *testing.T) {
	for _, m := range models {
		d := regular(t, detector.Config{Model: m}, 10, time.Second)
		want := d.Deadline(8)
		for range 100 {
			d.Heartbeat(start.Add(10 * time.Second))
		}
		require.Equal(t, want, d.Deadline(8), m)
	}
}

// The time stamp was swapped before the guard looked at it, and the guard
// never saw an outage; without one, 300 s of it blind a detector for minutes.
func TestBugOutageInWindow(t *testing.T) {
	for _, m := range models {
		d := regular(t, detector.Config{Model: m}, 80, time.Second)
		at := start.Add(80 * time.Second)
		first := d.Deadline(8).Sub(at)
		at = at.Add(300 * time.Second)
		require.True(t, d.Suspect(at))
		d.Heartbeat(at)
		require.False(t, d.Suspect(at))
		require.Equal(t, first, d.Deadline(8).Sub(at), "%v: the second crash is found as fast as the first", m)
	}
	// The paper's detector records every interval; this is what it costs.
	d := regular(t, detector.Config{Model: detector.Normal, MaxInterval: -1}, 80, time.Second)
	at := start.Add(380 * time.Second)
	d.Heartbeat(at)
	require.Greater(t, d.Deadline(8).Sub(at), 3*time.Minute)
}

// The second outage in a thousand beats is learned, but not at its length.
func TestTwoOutages(t *testing.T) {
	d := regular(t, detector.Config{}, 80, time.Second)
	at := start.Add(80 * time.Second)
	for range 2 {
		at = at.Add(300 * time.Second)
		d.Heartbeat(at)
	}
	require.Less(t, d.Deadline(8).Sub(at), 20*time.Second)
}

// A detector that keeps out whatever it did not expect stays wrong for ever
// about a peer that has become slower.
func TestBugNeverLearns(t *testing.T) {
	d := regular(t, detector.Config{}, 100, time.Second)
	at := start.Add(100 * time.Second)
	mistakes := 0
	for range 1000 {
		at = at.Add(5 * time.Second)
		if d.Suspect(at) {
			mistakes++
		}
		d.Heartbeat(at)
	}
	require.Less(t, mistakes, 20)
}

// The wall clock is set while Go's times carry a monotonic reading.
func TestBugWallClockStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		d := newDetector(t, detector.Config{})
		now := time.Now()
		d.Heartbeat(now)
		now = stepWall(now.Add(time.Second), step)
		require.Less(t, d.Phi(now), 1.0)
		d.Heartbeat(now)
		require.Equal(t, 2, d.Stats(now).Samples-1, "an interval of a second like any other")
		require.False(t, d.Suspect(now.Add(time.Second)))
	}
}

// A time that runs backwards counts as no time passed.
func TestBugTimeRunsBackwards(t *testing.T) {
	for _, m := range models {
		d := regular(t, detector.Config{Model: m}, 10, time.Second)
		want := d.Deadline(8)
		d.Heartbeat(start.Add(-time.Hour))
		require.Equal(t, want, d.Deadline(8))
		require.Less(t, d.Phi(start.Add(-time.Hour)), 0.3)
	}
}

// Bursts of answers teach the detector the traffic in place of the peer: when
// the burst is over, an idle peer is suspect.
func TestBugLearnsTraffic(t *testing.T) {
	quiet, busy := newDetector(t, detector.Config{}), newDetector(t, detector.Config{})
	now := start
	for i := range 120_000 {
		now = start.Add(time.Duration(i) * time.Millisecond)
		busy.Expect(now)
		busy.Heartbeat(now.Add(300 * time.Microsecond))
		if i%1000 == 0 {
			quiet.Expect(now)
			quiet.Heartbeat(now.Add(300 * time.Microsecond))
		}
	}
	now = now.Add(time.Hour)
	require.Zero(t, busy.Phi(now), "idle, and owes nothing")
	quiet.Expect(now)
	busy.Expect(now)
	require.InDelta(t, quiet.Deadline(8).Sub(now).Seconds(), busy.Deadline(8).Sub(now).Seconds(), 0.6)
	// A call may owe a slot and a half of silence until a ping is answered.
	require.False(t, busy.Suspect(now.Add(1500*time.Millisecond)))
}

// An observer that was paused finds every peer silent at once and, without a
// guard, convicts them all in one tick. The answers are queued, unread.
func TestBugPausedObserver(t *testing.T) {
	convict := func(pause time.Duration, guarded bool) (convicted int, fault detector.Fault) {
		const tick = 250 * time.Millisecond
		var guard detector.Guard
		peers := make([]*detector.Detector, 8)
		for i := range peers {
			peers[i] = newDetector(t, detector.Config{})
		}
		now := start
		for i := range 400 {
			due := now.Add(tick)
			now = due
			if i == 201 { // asked at 200, and stopped before the answers came
				now = due.Add(pause)
			}
			f := guard.Wake(now, due)
			if fault = max(fault, f); f.Excuses() && guarded {
				for _, d := range peers {
					d.Excuse(now)
				}
			}
			for _, d := range peers {
				if d.Suspect(now) {
					convicted++
				}
				if i%4 == 0 {
					d.Expect(now)
				}
			}
			for _, d := range peers {
				if i%4 == 1 {
					d.Heartbeat(now.Add(time.Millisecond))
				}
			}
		}
		return convicted, fault
	}
	for _, pause := range []time.Duration{200, 300, 500, 1000, 2000, 3000, 5000, 10_000} {
		convicted, fault := convict(pause*time.Millisecond, true)
		require.Zero(t, convicted, "paused for %d ms", pause)
		if pause > 250 {
			require.Equal(t, detector.Paused, fault, "%d ms", pause)
		}
	}
	unguarded, _ := convict(5*time.Second, false)
	require.Equal(t, 8, unguarded)
}

// All methods at once, for the race detector.
func TestRace(t *testing.T) {
	for _, m := range models {
		d := newDetector(t, detector.Config{Model: m})
		at := func(i int) time.Time { return start.Add(time.Duration(i) * 400 * time.Millisecond) }
		var wg sync.WaitGroup
		for g := range 3 {
			wg.Go(func() {
				for i := range 300 {
					switch {
					case g == 0:
						d.Expect(at(i))
						d.Heartbeat(at(i).Add(time.Millisecond))
					case g == 1:
						if phi := d.Phi(at(i)); math.IsNaN(phi) || math.IsInf(phi, 0) {
							t.Errorf("phi is %v", phi)
						}
						d.Suspect(at(i))
						d.Deadline(3)
						d.Stats(at(i))
					case i%50 == 0:
						d.Forget(at(i))
					case i%10 == 0:
						d.Excuse(at(i))
					default:
						d.Heartbeat(at(i))
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestAllocations(t *testing.T) {
	now := time.Now()
	for _, asked := range []bool{false, true} {
		d := newDetector(t, detector.Config{})
		require.Zero(t, testing.AllocsPerRun(2000, func() {
			now = now.Add(time.Second)
			if asked {
				d.Expect(now)
			}
			d.Heartbeat(now.Add(time.Millisecond))
			d.Phi(now)
			d.Suspect(now)
			d.Deadline(3)
		}), "asked: %v", asked)
	}
}

// stepWall sets the wall clock of a time with a monotonic reading, which no
// function of package time does: it is what the kernel's clock does to the
// results of time.Now. The layout is that of time.Time: 33 bits of seconds
// above 30 bits of nanoseconds.
func stepWall(t time.Time, d time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	if d < 0 {
		*wall -= uint64(-d/time.Second) << 30
	} else {
		*wall += uint64(d/time.Second) << 30
	}
	return t
}

// A time before the first one that a detector was given is no silence of centuries.
func TestSuspectBeforeTheFirstTime(t *testing.T) {
	d := newDetector(t, detector.Config{})
	d.Forget(start.Add(time.Second))
	require.False(t, d.Suspect(start))
	require.Zero(t, d.Phi(start))
}
