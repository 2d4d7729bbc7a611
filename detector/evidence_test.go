package detector_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/detector"
)

// after returns the moment so many seconds after the start.
func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// TestSilence: silence runs from the first unanswered Expect or the last proof
// of life, whichever is later, and only while something is owed.
func TestSilence(t *testing.T) {
	type step struct {
		do string
		at float64
	}
	for _, c := range []struct {
		name  string
		steps []step
		owed  float64 // since when, -1 if nothing is
	}{
		{"new", nil, -1},
		{"asked", []step{{"expect", 1}}, 1},
		{"asked twice", []step{{"expect", 1}, {"expect", 2}}, 1},
		{"answered", []step{{"expect", 1}, {"heartbeat", 2}}, -1},
		{"asked again", []step{{"expect", 1}, {"heartbeat", 2}, {"expect", 5}}, 5},
		{"one of two answered", []step{{"expect", 1}, {"expect", 2}, {"heartbeat", 3}}, -1},
		{"asked after the proof, told before", []step{{"expect", 1}, {"heartbeat", 2}, {"expect", 1.5}}, 2},
		{"sent later than the answer", []step{{"expect", 3}, {"heartbeat", 2}}, 3},
		{"beats by itself", []step{{"heartbeat", 1}, {"heartbeat", 2}}, 2},
		{"beats, then is asked", []step{{"heartbeat", 1}, {"expect", 4}}, 4},
		{"beats, is asked, answers", []step{{"heartbeat", 1}, {"expect", 4}, {"heartbeat", 5}}, -1},
		{"a late proof of old", []step{{"heartbeat", 2}, {"heartbeat", 1}}, 2},
		{"a late proof of old, asked", []step{{"expect", 1}, {"heartbeat", 3}, {"heartbeat", 2}, {"expect", 2.5}}, 3},
		{"excused", []step{{"expect", 1}, {"excuse", 4}}, 4},
		{"excused, owing nothing", []step{{"expect", 1}, {"heartbeat", 2}, {"excuse", 4}}, -1},
		{"excused before it was asked", []step{{"expect", 5}, {"excuse", 4}}, 5},
		{"forgotten", []step{{"expect", 1}, {"forget", 4}}, -1},
		{"forgotten and asked", []step{{"expect", 1}, {"forget", 4}, {"expect", 6}}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDetector(t, detector.Config{})
			d.Forget(start) // sets the clock
			for _, s := range c.steps {
				map[string]func(time.Time){
					"expect": d.Expect, "heartbeat": d.Heartbeat, "excuse": d.Excuse, "forget": d.Forget,
				}[s.do](after(s.at))
			}
			got := d.Stats(after(100))
			if c.owed < 0 {
				require.Zero(t, got.OwedSince)
				require.Zero(t, d.Phi(after(1e6)))
				require.Zero(t, d.Deadline(8))
				require.False(t, d.Suspect(after(1e6)))
				return
			}
			require.Equal(t, after(c.owed), got.OwedSince)
			require.Positive(t, got.Phi)
			require.True(t, d.Suspect(after(1e6)))
			require.Less(t, d.Phi(after(c.owed)), 0.1, "just begun")
		})
	}
}

// TestOneSamplePerSlot: what arrives between samples is proof of life and
// nothing else, and time in which nothing was owed does not count as silence.
func TestOneSamplePerSlot(t *testing.T) {
	d := newDetector(t, detector.Config{Model: detector.Normal})
	samples := func() int { return d.Stats(after(0)).Samples - 2 } // two are of the start
	d.Expect(after(0))
	d.Heartbeat(after(0.1))
	require.Zero(t, samples(), "the first has no interval before it")
	for i := range 9 {
		at := 0.1 + 0.01*float64(i+1)
		d.Expect(after(at))
		d.Heartbeat(after(at + 0.001))
	}
	require.Zero(t, samples(), "within half a slot")
	d.Expect(after(1))
	d.Heartbeat(after(1.1))
	require.Equal(t, 1, samples())
	d.Expect(after(1000)) // after a long idle time
	d.Heartbeat(after(1000.2))
	require.Equal(t, 2, samples())
	// 0.75, 1.25, the least of a slot, and a slot with 0.2 s of silence.
	require.InDelta(t, 1.05, d.Stats(after(1001)).Mean.Seconds(), 1e-6)
}

// TestExcusedIntervalIsNoSample: what a pause of ours did to an interval is not
// learned, and the next interval is.
func TestExcusedIntervalIsNoSample(t *testing.T) {
	for name, excuse := range map[string]func(*detector.Detector, time.Time){
		"excuse": (*detector.Detector).Excuse, "forget": (*detector.Detector).Forget,
	} {
		d := regular(t, detector.Config{Model: detector.Normal}, 10, time.Second)
		before := d.Stats(start)
		excuse(d, after(11.5))
		d.Heartbeat(after(11.6))
		require.Equal(t, before.Mean, d.Stats(start).Mean, name)
		require.Equal(t, before.Samples, d.Stats(start).Samples, name)
		d.Heartbeat(after(12.6))
		require.Equal(t, before.Samples+1, d.Stats(start).Samples, name)
	}
}

func TestMaxInterval(t *testing.T) {
	d := newDetector(t, detector.Config{Model: detector.Exponential, MaxInterval: 2 * time.Second})
	for _, at := range []float64{0, 1, 3.5, 4.5} {
		d.Heartbeat(after(at))
	}
	require.Equal(t, 2+2, d.Stats(start).Samples, "2.5 s is beyond the limit")
}

// TestFirstHeartbeatNeverComes: a peer that dies before it was ever heard is
// found too.
func TestFirstHeartbeatNeverComes(t *testing.T) {
	for _, m := range models {
		d := newDetector(t, detector.Config{Model: m})
		d.Expect(after(0))
		require.False(t, d.Suspect(after(1)), m)
		require.True(t, d.Suspect(after(20)), m)
	}
	d := newDetector(t, detector.Config{FirstInterval: -1})
	d.Expect(after(0))
	require.Zero(t, d.Phi(after(1e6)), "nothing is known of a peer of which nothing was said")
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		field string
		cfg   detector.Config
	}{
		{"Model", detector.Config{Model: 3}},
		{"WindowSize", detector.Config{WindowSize: -1}},
		{"WindowSize", detector.Config{WindowSize: 1e6}},
		{"MinStdDev", detector.Config{MinStdDev: 1e6 * time.Hour}},
		{"AcceptablePause", detector.Config{AcceptablePause: 1e6 * time.Hour}},
		{"FirstInterval", detector.Config{FirstInterval: 1e6 * time.Hour}},
		{"MaxSilence", detector.Config{MaxSilence: 1e6 * time.Hour}},
		{"Threshold", detector.Config{Threshold: -1}},
		{"Threshold", detector.Config{Threshold: math.NaN()}},
		{"Threshold", detector.Config{Threshold: math.Inf(1)}},
	} {
		_, err := detector.New(c.cfg)
		require.ErrorContains(t, err, "Config."+c.field)
	}
}
