package breaker_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"resilientrpc/breaker"
)

// mutexBreaker is the baseline: what one writes first. It opens after five
// consecutive failures and keeps counts under a mutex.
type mutexBreaker struct {
	mu          sync.Mutex // protects following
	open        bool
	until       time.Time
	calls       int
	failures    int
	consecutive int
}

var errMutexOpen = errors.New("open")

func (b *mutexBreaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		if now.Before(b.until) {
			return errMutexOpen
		}
		b.open = false
	}
	b.calls++
	return nil
}

func (b *mutexBreaker) done(now time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		b.consecutive = 0
		return
	}
	b.failures++
	if b.consecutive++; b.consecutive >= 5 {
		b.open, b.until = true, now.Add(time.Hour)
	}
}

func mustNew(tb testing.TB, cfg breaker.Config) *breaker.Breaker {
	tb.Helper()
	b, err := breaker.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// A clock moves by 50 µs per call, so that no slice of a busy config fills up
// and every call is really counted. It moves every 16th call, because
// time.Time.Add costs as much as half of what is measured.
type clock struct {
	time.Time
	calls int
}

func (c *clock) tick() time.Time {
	if c.calls++; c.calls%16 == 0 {
		c.Time = c.Add(16 * step)
	}
	return c.Time
}

const step = 50 * time.Microsecond

// forever is longer than any benchmark's clock runs.
const forever = 100_000 * time.Hour

var busy = breaker.Config{Window: 100 * time.Second}

func BenchmarkClosed(b *testing.B) {
	br, clk := mustNew(b, busy), clock{Time: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		now := clk.tick()
		p, err := br.Allow(now)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(now, breaker.Success, nil)
	}
	if got, want := br.Stats(clk.Time).Calls, min(b.N, int(90*time.Second/step)); got < want {
		b.Fatalf("counted %d calls, want at least %d", got, want)
	}
}

func BenchmarkClosedMutexBaseline(b *testing.B) {
	br, clk := new(mutexBreaker), clock{Time: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		now := clk.tick()
		if err := br.allow(now); err != nil {
			b.Fatal(err)
		}
		br.done(now, true)
	}
	if br.calls < b.N {
		b.Fatalf("counted %d calls of %d", br.calls, b.N)
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	br, start := mustNew(b, busy), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		clk := clock{Time: start}
		for pb.Next() {
			now := clk.tick()
			p, err := br.Allow(now)
			if err != nil {
				b.Error(err)
				return
			}
			p.Done(now, breaker.Success, nil)
		}
	})
}

func BenchmarkClosedParallelMutexBaseline(b *testing.B) {
	br, start := new(mutexBreaker), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		clk := clock{Time: start}
		for pb.Next() {
			now := clk.tick()
			if err := br.allow(now); err != nil {
				b.Error(err)
				return
			}
			br.done(now, true)
		}
	})
	if br.calls < b.N {
		b.Fatalf("counted %d calls of %d", br.calls, b.N)
	}
}

func BenchmarkClosedFailing(b *testing.B) { // every other call fails, and the rules are judged
	br, now := mustNew(b, breaker.Config{FailureRatio: 0.9}), time.Now()
	br.State(now)
	b.ReportAllocs()
	o := breaker.Success
	for b.Loop() {
		now = now.Add(time.Millisecond)
		p, err := br.Allow(now)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(now, o, nil)
		o ^= breaker.Failure
	}
}

func BenchmarkReject(b *testing.B) {
	br, clk := mustNew(b, breaker.Config{}), clock{Time: time.Now()}
	br.Trip(clk.Time, forever, nil)
	b.ReportAllocs()
	for b.Loop() {
		now := clk.tick()
		if _, err := br.Allow(now); err == nil {
			b.Fatal("let through")
		}
	}
}

func BenchmarkRejectParallel(b *testing.B) {
	br, now := mustNew(b, breaker.Config{}), time.Now()
	br.Trip(now, forever, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := br.Allow(now); err == nil {
				b.Error("let through")
				return
			}
		}
	})
}

func BenchmarkRejectMutexBaseline(b *testing.B) {
	br, clk := new(mutexBreaker), clock{Time: time.Now()}
	br.open, br.until = true, clk.Add(forever)
	b.ReportAllocs()
	for b.Loop() {
		now := clk.tick()
		if br.allow(now) == nil {
			b.Fatal("let through")
		}
	}
}

func BenchmarkReady(b *testing.B) {
	br, now := mustNew(b, breaker.Config{}), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if !br.Ready(now) {
			b.Fatal("not ready")
		}
	}
}
