package detector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/detector"
)

func TestGuard(t *testing.T) {
	const slot = time.Second
	for _, c := range []struct {
		name       string
		late, step time.Duration
		planned    bool
		want       detector.Fault
		excuses    bool
	}{
		{"on time", 0, 0, true, detector.NoFault, false},
		{"a little late", 200 * time.Millisecond, 0, true, detector.NoFault, false},
		{"stopped", 5 * time.Second, 0, true, detector.Paused, true},
		{"woken early, after long", 5 * time.Second, 0, false, detector.NoFault, false},
		{"suspended", 0, time.Hour, true, detector.Slept, true},
		{"clock set back", 0, -time.Hour, true, detector.SetBack, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g detector.Guard
			now := time.Now()
			require.Equal(t, detector.NoFault, g.Wake(now, now))
			due := now.Add(slot)
			now = stepWall(due.Add(c.late), c.step)
			if !c.planned {
				due = time.Time{}
			}
			got := g.Wake(now, due)
			require.Equal(t, c.want, got)
			require.Equal(t, c.excuses, got.Excuses())
			require.Equal(t, detector.NoFault, g.Wake(now.Add(slot), now.Add(slot)), "once is enough")
		})
	}
}

func TestCheckIsolation(t *testing.T) {
	now := start.Add(10 * time.Second)
	for _, c := range []struct {
		silent, well, idle int
		want               detector.Fault
	}{
		{0, 6, 0, detector.NoFault},
		{2, 4, 0, detector.NoFault},
		{3, 3, 0, detector.Isolated},
		{3, 4, 0, detector.NoFault},
		{3, 3, 9, detector.Isolated}, // the idle are no witnesses
		{2, 0, 0, detector.NoFault},  // two are no crowd
		{3, 0, 0, detector.Isolated},
		{0, 0, 5, detector.NoFault},
		{0, 0, 0, detector.NoFault},
	} {
		var peers []*detector.Detector
		for i := range c.silent + c.well + c.idle {
			d := newDetector(t, detector.Config{})
			if i < c.silent+c.well {
				d.Expect(start)
			}
			if i >= c.silent && i < c.silent+c.well {
				d.Heartbeat(now)
				d.Expect(now)
			}
			peers = append(peers, d)
		}
		require.Equal(t, c.want, detector.CheckIsolation(now, 8, peers...), "%+v", c)
	}
}

func TestGray(t *testing.T) {
	var g detector.Gray
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		second             int
		suspected, failing bool
		want               detector.Comparison
		news               bool
	}{
		{0, false, false, detector.Agree, false},
		{1, false, true, detector.Agree, false},
		{10, false, true, detector.Agree, false},
		{11, false, true, detector.GrayFailure, true},
		{20, false, true, detector.GrayFailure, false},
		{21, true, true, detector.Agree, true},
		{22, true, false, detector.Agree, false},
		{31, true, false, detector.Agree, false},
		{32, true, false, detector.FalseAlarm, true},
		{33, false, true, detector.Agree, true}, // the other way round is another matter
		{42, false, true, detector.Agree, false},
		{43, false, true, detector.GrayFailure, true},
		{44, false, false, detector.Agree, true},
	} {
		got, news := g.Observe(at(c.second), c.suspected, c.failing)
		require.Equal(t, c.want, got, "at %d s", c.second)
		require.Equal(t, c.news, news, "at %d s", c.second)
	}
}

// TestPlan: whenever the peer dies, what is owed a slot and a half later at the
// latest convicts it in time, cold or warm.
func TestPlan(t *testing.T) {
	for _, want := range []time.Duration{
		40 * time.Millisecond, 100*time.Millisecond + 1, time.Second, 4 * time.Second, time.Minute, 24 * time.Hour,
	} {
		s, err := detector.Plan(want)
		require.NoError(t, err)
		require.InEpsilon(t, want.Seconds()/4, s.Interval.Seconds(), 0.01)
		for _, n := range []int{0, 3, 100, 2000} {
			d := newDetector(t, s.Config)
			now := start
			for i := range n {
				d.Expect(now)
				d.Heartbeat(now.Add(s.Interval * time.Duration(i%10) / 20))
				now = now.Add(s.Interval)
			}
			owed := now.Add(s.Interval * 3 / 2)
			d.Expect(owed)
			require.LessOrEqual(t, d.Deadline(8).Sub(now), want, "plan for %v, %d pings", want, n)
			require.False(t, d.Suspect(owed.Add(s.Interval*3/2)), "a slow call to a live peer")
		}
	}
	for _, bad := range []time.Duration{-1, 0, time.Millisecond, 25 * time.Hour} {
		_, err := detector.Plan(bad)
		require.ErrorContains(t, err, "Plan", bad)
	}
}

// What was seen long ago says nothing of the time in between.
func TestGrayOverAGap(t *testing.T) {
	var g detector.Gray
	for _, c := range []struct {
		second int
		want   detector.Comparison
	}{{0, detector.Agree}, {9, detector.Agree}, {30, detector.Agree}, {39, detector.Agree}, {40, detector.GrayFailure}, {90, detector.Agree}, {99, detector.Agree}, {100, detector.GrayFailure}} {
		v, _ := g.Observe(start.Add(time.Duration(c.second)*time.Second), false, true)
		require.Equal(t, c.want, v, "at %d s", c.second)
	}
}
