package detector_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"resilientrpc/detector"
)

// naive is the detector as it is often written: a window under a mutex, mean
// and deviation by a pass over it, and 1-erf.
type naive struct {
	mu     sync.Mutex
	window []float64
	last   time.Time
}

func (d *naive) Heartbeat(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.last.IsZero() {
		if len(d.window) == 1000 {
			d.window = d.window[1:]
		}
		d.window = append(d.window, now.Sub(d.last).Seconds())
	}
	d.last = now
}

func (d *naive) Phi(now time.Time) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var mean, square float64
	for _, x := range d.window {
		mean += x / float64(len(d.window))
	}
	for _, x := range d.window {
		square += (x - mean) * (x - mean) / float64(len(d.window))
	}
	z := (now.Sub(d.last).Seconds() - mean) / max(0.1, math.Sqrt(square))
	return -math.Log10(0.5 - math.Erf(z/math.Sqrt2)/2)
}

func (d *naive) Suspect(now time.Time) bool { return d.Phi(now) >= 8 }

type watcher interface {
	Heartbeat(now time.Time)
	Phi(now time.Time) float64
	Suspect(now time.Time) bool
}

// contenders have all heard a thousand beats, one a second, from the time
// that is returned as the last.
func contenders(b *testing.B) (map[string]watcher, time.Time) {
	all := map[string]watcher{
		"loss-aware":  newDetector(b, detector.Config{}),
		"normal":      newDetector(b, detector.Config{Model: detector.Normal}),
		"exponential": newDetector(b, detector.Config{Model: detector.Exponential}),
		"naive":       new(naive),
	}
	first := time.Now() // with a monotonic reading, as in use
	last := first
	for i := range 1001 {
		last = first.Add(time.Duration(i)*time.Second + time.Duration(i%7)*time.Millisecond)
		for _, d := range all {
			d.Heartbeat(last)
		}
	}
	return all, last
}

func each(b *testing.B, f func(b *testing.B, d watcher, last time.Time)) {
	for _, name := range []string{"loss-aware", "normal", "exponential", "naive"} {
		b.Run(name, func(b *testing.B) {
			all, last := contenders(b)
			b.ReportAllocs()
			f(b, all[name], last)
		})
	}
}

// BenchmarkHeartbeat is a busy connection of 10,000 answers a second: a sample
// every half second. The naive one knows no slots and records each.
func BenchmarkHeartbeat(b *testing.B) {
	each(b, func(b *testing.B, d watcher, now time.Time) {
		if d, ok := d.(*detector.Detector); ok {
			d.Expect(now)
		}
		for b.Loop() {
			now = now.Add(100 * time.Microsecond)
			d.Heartbeat(now)
		}
		if d.Suspect(now) {
			b.Error("suspect in the moment of a heartbeat")
		}
	})
}

// BenchmarkSample is the other extreme: every heartbeat is a sample.
func BenchmarkSample(b *testing.B) {
	each(b, func(b *testing.B, d watcher, now time.Time) {
		i := 0
		for b.Loop() {
			i++
			now = now.Add(time.Second + time.Duration(i%7-3)*time.Millisecond)
			d.Heartbeat(now)
		}
	})
}

// BenchmarkSuspect calls ours directly: a call through an interface costs more
// than the check. BenchmarkSub is the part of it that is time.Time's.
func BenchmarkSuspect(b *testing.B) {
	all, last := contenders(b)
	now := last.Add(time.Second)
	b.Run("loss-aware", func(b *testing.B) {
		d, yes := all["loss-aware"].(*detector.Detector), 0
		for b.Loop() {
			if d.Suspect(now) {
				yes++
			}
		}
		if yes != 0 {
			b.Error("suspect after a second")
		}
	})
	b.Run("naive", func(b *testing.B) {
		d, yes := all["naive"], 0
		for b.Loop() {
			if d.Suspect(now) {
				yes++
			}
		}
		if yes != 0 {
			b.Error("suspect after a second")
		}
	})
}

func BenchmarkSub(b *testing.B) {
	first := time.Now()
	now, sum := first.Add(1), time.Duration(0)
	for b.Loop() {
		sum += now.Sub(first)
	}
	if sum <= 0 {
		b.Error(sum)
	}
}

func BenchmarkPhi(b *testing.B) {
	each(b, func(b *testing.B, d watcher, last time.Time) {
		now, sum := last.Add(1600*time.Millisecond), 0.0
		for b.Loop() {
			sum += d.Phi(now)
		}
		if !(sum > 0) {
			b.Errorf("sum of phi is %v", sum)
		}
	})
}

// BenchmarkEndpoints is a second in the life of 10,000 peers, each pinged,
// answering and looked at twice, as a prober would. Its time per second is the
// share of one core.
func BenchmarkEndpoints(b *testing.B) {
	peers := make([]*detector.Detector, 10_000)
	for i := range peers {
		peers[i] = newDetector(b, detector.Config{})
	}
	now, suspects, seconds := time.Now(), 0, 0
	for b.Loop() {
		for i, d := range peers {
			at := now.Add(time.Duration(i) * 100 * time.Microsecond)
			d.Expect(at)
			if at.After(d.Deadline(1)) || d.Suspect(at) {
				suspects++
			}
			d.Heartbeat(at.Add(time.Duration(300+i%7*100) * time.Microsecond))
		}
		now = now.Add(time.Second)
		seconds++
	}
	if suspects != 0 {
		b.Errorf("%d suspicions", suspects)
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/float64(seconds), "%core")
	b.ReportMetric(float64(len(peers)), "pings/s")
}
