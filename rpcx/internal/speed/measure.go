package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A measure has a client call for a while and returns a figure.
type measure func(client, time.Duration) (float64, error)

// calling is a subject that is measured by calls of a client.
func calling(dial dialer, m measure) subject {
	return func(a *addresses) (trial, error) {
		c, err := dial(a)
		if err != nil {
			return trial{}, err
		}
		return trial{func(d time.Duration) (float64, error) { return m(c, d) }, c.Close}, nil
	}
}

// callers returns the time per call of n callers together, in microseconds.
func callers(n int) measure {
	return func(c client, d time.Duration) (float64, error) {
		var calls atomic.Int64
		var all errgroup.Group
		stop := after(d)
		begin := time.Now()
		for i := range n {
			all.Go(func() error {
				done, err := newCaller(c, i).until(stop)
				calls.Add(int64(done))
				return err
			})
		}
		err := all.Wait()
		return micros(time.Since(begin)) / float64(calls.Load()), err
	}
}

// apart returns the median time of calls that begin a pause after the last one has
// ended, in microseconds.
func apart(pause time.Duration) measure {
	return func(c client, d time.Duration) (float64, error) {
		var took []float64
		one, stop := newCaller(c, 0), after(d)
		for len(took) == 0 || !stop.Load() {
			time.Sleep(pause)
			begin := time.Now()
			if err := one.call(); err != nil {
				return 0, err
			}
			took = append(took, micros(time.Since(begin)))
		}
		return quantile(took, 0.5), nil
	}
}

// allocations returns the allocations of this process per call.
func allocations(c client, d time.Duration) (float64, error) {
	one, stop := newCaller(c, 0), after(d)
	var before, since runtime.MemStats
	runtime.ReadMemStats(&before)
	calls, err := one.until(stop)
	runtime.ReadMemStats(&since)
	return float64(since.Mallocs-before.Mallocs) / float64(calls), err
}

// alone returns the time per call over the instant codec, in microseconds.
func alone(c client, d time.Duration) (float64, error) {
	stop, begin := after(d), time.Now()
	calls := 0
	for reply := 0; calls == 0 || !stop.Load(); calls++ {
		if err := c.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
			return 0, fmt.Errorf("reply %d: %w", reply, err)
		}
		reply = 0
	}
	return micros(time.Since(begin)) / float64(calls), nil
}

// A caller makes one call after the other and checks the replies. Like most programs, it
// allocates the arguments and the reply of each call: two of a call's allocations.
type caller struct {
	client client
	a, b   int // the last call's factors
}

// newCaller returns the caller with number i, whose replies differ from those of others.
func newCaller(c client, i int) *caller { return &caller{client: c, b: i + 2} }

// until calls at least once, and then until it is to stop.
func (c *caller) until(stop *atomic.Bool) (calls int, err error) {
	for calls == 0 || !stop.Load() {
		if err := c.call(); err != nil {
			return calls, err
		}
		calls++
	}
	return calls, nil
}

func (c *caller) call() error {
	c.a++
	var reply Reply
	if err := c.client.Call("Arith.Multiply", Args{c.a, c.b}, &reply); err != nil {
		return err
	}
	if reply.C != c.a*c.b {
		return fmt.Errorf("the reply to %d*%d is %d", c.a, c.b, reply.C)
	}
	return nil
}

// after returns a flag that is set after d: cheaper to read than a clock.
func after(d time.Duration) *atomic.Bool {
	stop := new(atomic.Bool)
	time.AfterFunc(d, func() { stop.Store(true) })
	return stop
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// quantile sorts the values and returns the smallest that a share q of them does not exceed.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
