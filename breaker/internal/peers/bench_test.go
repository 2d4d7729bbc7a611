package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"resilientrpc/breaker"
)

// A maker returns a function that makes one call, which succeeds, and reports
// whether it was let in. Each goroutine has its own function, all of them the
// same breaker. Shut breakers are open for longer than a benchmark takes.
type maker func(shut bool) (each func() func() bool)

const ages = 1000 * time.Hour

var makers = []struct {
	name string
	make maker
}{
	{"ours/given_time", func(shut bool) func() func() bool {
		b := benched(shut)
		return func() func() bool {
			now, n := time.Now(), 0
			return func() bool {
				// Add costs half of what is measured, so it is not for every call;
				// a shut breaker is asked at one moment, not by clocks that part.
				if n++; n%16 == 0 && !shut {
					now = now.Add(800 * time.Microsecond)
				}
				p, err := b.Allow(now)
				p.Done(now, breaker.Success, nil)
				return err == nil
			}
		}
	}},
	{"ours/reading_clock", func(shut bool) func() func() bool {
		b := benched(shut)
		return same(func() bool {
			p, err := b.Allow(time.Now())
			if err != nil {
				return false
			}
			p.Done(time.Now(), breaker.Success, nil)
			return true
		})
	}},
	{"ours/Do", func(shut bool) func() func() bool {
		b, ctx := benched(shut), context.Background()
		return same(func() bool { return b.Do(ctx, func(context.Context) error { return nil }) == nil })
	}},
	{"gobreaker/Execute", func(shut bool) func() func() bool {
		b := gobreaker.NewCircuitBreaker[struct{}](benchedGobreaker(shut))
		if shut {
			_, _ = b.Execute(func() (struct{}, error) { return struct{}{}, errDown })
		}
		return same(func() bool {
			_, err := b.Execute(func() (struct{}, error) { return struct{}{}, nil })
			return err == nil
		})
	}},
	{"gobreaker/TwoStep", func(shut bool) func() func() bool {
		b := gobreaker.NewTwoStepCircuitBreaker[struct{}](benchedGobreaker(shut))
		if shut {
			done, _ := b.Allow()
			done(errDown)
		}
		return same(func() bool {
			done, err := b.Allow()
			if err != nil {
				return false
			}
			done(nil)
			return true
		})
	}},
	{"failsafe/With", func(shut bool) func() func() bool {
		executor := failsafe.With(benchedFailsafe(shut))
		return same(func() bool { return executor.Run(func() error { return nil }) == nil })
	}},
	{"failsafe/alone", func(shut bool) func() func() bool {
		b := benchedFailsafe(shut)
		return same(func() bool {
			if !b.TryAcquirePermit() {
				return false
			}
			b.RecordSuccess()
			return true
		})
	}},
}

func same(call func() bool) func() func() bool { return func() func() bool { return call } }

func benched(shut bool) *breaker.Breaker {
	b := mustOurs(breaker.Config{Window: 100 * time.Second})
	if shut {
		b.Trip(time.Now(), ages, errors.New("shut"))
	}
	return b
}

func benchedGobreaker(shut bool) gobreaker.Settings {
	return gobreaker.Settings{Timeout: ages, ReadyToTrip: func(gobreaker.Counts) bool { return shut }}
}

func benchedFailsafe(shut bool) circuitbreaker.CircuitBreaker[any] {
	b := circuitbreaker.NewBuilder[any]().WithFailureThreshold(5).WithDelay(ages).Build()
	if shut {
		b.Open()
	}
	return b
}

func BenchmarkClosed(b *testing.B)         { serial(b, false) }
func BenchmarkClosedParallel(b *testing.B) { parallel(b, false) }
func BenchmarkReject(b *testing.B)         { serial(b, true) }
func BenchmarkRejectParallel(b *testing.B) { parallel(b, true) }

func serial(b *testing.B, shut bool) {
	for _, m := range makers {
		b.Run(m.name, func(b *testing.B) {
			call := m.make(shut)()
			b.ReportAllocs()
			for b.Loop() {
				if call() == shut {
					b.Fatal("wrong verdict")
				}
			}
		})
	}
}

func parallel(b *testing.B, shut bool) {
	for _, m := range makers {
		b.Run(m.name, func(b *testing.B) {
			each := m.make(shut)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				call := each()
				for pb.Next() {
					if call() == shut {
						b.Error("wrong verdict")
						return
					}
				}
			})
		})
	}
}
