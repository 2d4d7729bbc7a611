package detector_test

import (
	"testing"
	"time"

	"resilientrpc/detector"
)

// BenchmarkHeartbeat is a busy connection: an answer every 100 µs, a sample
// every half second.
func BenchmarkHeartbeat(b *testing.B) {
	d := newDetector(b, detector.Config{})
	now := start
	d.Expect(now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(100 * time.Microsecond)
		d.Heartbeat(now)
	}
}

// BenchmarkSample is the worst case: every heartbeat is a sample.
func BenchmarkSample(b *testing.B) {
	d := newDetector(b, detector.Config{})
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		d.Heartbeat(now)
	}
}

func BenchmarkSuspect(b *testing.B) {
	d := newDetector(b, detector.Config{})
	now := start
	d.Expect(now)
	b.ReportAllocs()
	for b.Loop() {
		if d.Suspect(now) {
			b.Fatal("suspect at once")
		}
	}
}
