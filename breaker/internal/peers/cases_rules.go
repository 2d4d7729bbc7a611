package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A run of five failures is what opens; an interspersed cancellation neither
// counts towards it nor breaks it. For a ratio: it is not among the calls.
func cancellation(t *trial) error {
	g := t.new(settings{})
	for range 100 {
		once(g, fmt.Errorf("call: %w", context.Canceled))
	}
	if err := expect(g, closed); err != nil {
		return fmt.Errorf("after 100 canceled calls: %w", err)
	}
	for range 20 {
		once(g, errDown)
		once(g, fmt.Errorf("call: %w", context.Canceled))
	}
	if err := expect(g, open); err != nil {
		return fmt.Errorf("20 failures among canceled calls: %w", err)
	}
	return nil
}

// serve stands for an endpoint that takes the given time to answer.
func serve(takes time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(takes):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func tinyDeadline(t *trial) error {
	g := t.new(settings{})
	do := func(patience, takes time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = g.Do(ctx, serve(takes))
	}
	for range 30 {
		do(time.Millisecond, 50*time.Millisecond)
	}
	if err := expect(g, closed); err != nil {
		return fmt.Errorf("callers gave a healthy endpoint 1ms: %w", err)
	}
	for range 30 {
		do(attemptTimeout, time.Minute)
	}
	if g.State() == closed {
		return fmt.Errorf("30 calls timed out after %v, and it is closed", attemptTimeout)
	}
	return nil
}

func applicationErrors(t *trial) error {
	g := t.new(settings{})
	for range 100 {
		once(g, errApp)
	}
	return expect(g, closed)
}

func slowFailures(t *trial) error {
	g := t.new(settings{})
	calls, err := t.holdN(g, 100)
	if err != nil {
		return err
	}
	time.Sleep(3 * window)
	for _, c := range calls {
		c.end(errDown)
	}
	if err := expect(g, open); err != nil {
		_, failures := g.Counts()
		return fmt.Errorf("100 calls failed after %v, %d counted: %w", 3*window, failures, err)
	}
	return nil
}

func pileUp(t *trial) error {
	opened := 0
	g := t.new(settings{onChange: func(to state) {
		if to == open {
			opened++
		}
	}})
	calls, err := t.holdN(g, 1000)
	if err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	for _, c := range calls {
		c.end(errDown)
	}
	if opened != 1 {
		return fmt.Errorf("opened %d times", opened)
	}
	return expect(g, open)
}

// Half of twenty calls within a second fail, wherever that second lies. That
// much older history was good must not hide it.
func boundaryBurst(t *trial) error {
	for _, offset := range []time.Duration{0, window / 2, window - 500*time.Millisecond} {
		g := t.new(settings{})
		for range 1000 {
			once(g, nil)
		}
		time.Sleep(10*window + offset)
		for i := range 10 {
			if i == 5 {
				time.Sleep(time.Second)
			}
			once(g, nil)
			once(g, errDown)
		}
		if err := expect(g, open); err != nil {
			return fmt.Errorf("burst at offset %v: %w", offset, err)
		}
	}
	return nil
}

func lowTraffic(t *trial) error {
	g := t.new(settings{})
	for range 10 {
		once(g, errDown)
		if g.State() == open {
			return nil
		}
		time.Sleep(time.Minute)
	}
	return errors.New("10 calls failed, one a minute, and it never opened")
}

func chanceRuns(t *trial) error {
	g := t.new(settings{})
	rng := rand.New(rand.NewPCG(1, 2))
	const calls = 60_000 // ten minutes at 100 a second
	ok, away := 0, 0
	for range calls {
		err := errDown
		if rng.Float64() >= 0.4 {
			err = nil
		}
		switch {
		case !once(g, err):
			away++
		case err == nil:
			ok++
		}
		time.Sleep(10 * time.Millisecond)
	}
	if away > 0 {
		return fmt.Errorf("40 %% fail at random: %.1f %% turned away, %.1f %% served", 100*float64(away)/calls, 100*float64(ok)/calls)
	}
	return nil
}

func standstill(t *trial) error {
	var told []state
	g := t.new(settings{onChange: func(to state) { told = append(told, to) }})
	if err := trip(g); err != nil {
		return err
	}
	time.Sleep(10 * openFor)
	if err := expect(g, halfOpen); err != nil {
		return fmt.Errorf("%v after it opened: %w", 10*openFor, err)
	}
	if len(told) != 2 {
		return fmt.Errorf("told of %v", told)
	}
	if !t.windowed {
		return nil
	}
	once(g, nil)
	once(g, errDown)
	time.Sleep(10 * window)
	if n, failures := g.Counts(); n != 0 || failures != 0 {
		return fmt.Errorf("after %v of idleness it counts %d calls, %d failed", 10*window, n, failures)
	}
	return nil
}

// Only a breaker that is given the time can be shown a clock that is set
// back. The peers read the clock and pass unseen.
func clockBack(t *trial) error {
	o, ok := t.new(settings{}).(ours)
	if !ok {
		return nil
	}
	now := time.Now()
	o.Trip(now, openFor, nil)
	o.Breaker.State(now.Add(-24 * time.Hour))
	if wait := o.Stats(now.Add(-time.Hour)).RetryAfter; wait > openFor {
		return fmt.Errorf("open for %v when the clock runs back", wait)
	}
	if _, err := o.Allow(now.Add(openFor)); err != nil {
		return fmt.Errorf("the interval is over: %w", err)
	}
	return nil
}

// shutFor measures how long a guard stays shut from now on, to 10 ms; the
// call that ends it returns probe.
func shutFor(g guard, probe error) time.Duration {
	begin := time.Now()
	for !once(g, probe) && time.Since(begin) < 100*openFor {
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

func openIntervals(t *trial) error {
	returns := map[time.Duration]bool{}
	for range 20 { // clients that lose the endpoint at the same moment
		g := t.new(settings{growing: true})
		if err := trip(g); err != nil {
			return err
		}
		returns[shutFor(g, nil)] = true
	}
	if len(returns) < 10 {
		return fmt.Errorf("20 clients come back at %d moments", len(returns))
	}

	g := t.new(settings{growing: true})
	if err := trip(g); err != nil {
		return err
	}
	begin := shutFor(g, errDown)
	for range 10 {
		shutFor(g, errDown)
	}
	grown := shutFor(g, nil) // the last probe is lucky
	if grown < 2*begin {
		return fmt.Errorf("a dead endpoint is tried after %v at first and after %v at the twelfth time", begin, grown)
	}
	if err := trip(g); err != nil {
		return err
	}
	if again := shutFor(g, nil); again < 2*begin {
		return fmt.Errorf("one lucky probe shortens the interval from %v to %v", grown, again)
	}
	for range 60 {
		once(g, nil)
		time.Sleep(time.Second)
	}
	if err := trip(g); err != nil {
		return err
	}
	if reset := shutFor(g, nil); grown < 2*reset {
		return fmt.Errorf("after a good minute the interval is still %v", reset)
	}
	return nil
}

func allOpen(t *trial) error {
	var guards []guard
	for range 3 {
		g := t.new(settings{})
		if err := trip(g); err != nil {
			return err
		}
		guards = append(guards, g)
		time.Sleep(time.Second)
	}
	for _, g := range guards {
		f, ok := g.(forecaster)
		if !ok {
			return errors.New("does not tell when it will let a call in")
		}
		wait := f.RetryAfter()
		if once(g, nil) {
			continue // was over already
		}
		time.Sleep(wait)
		if !once(g, nil) {
			return fmt.Errorf("said it would let a call in after %v, and did not", wait)
		}
	}
	return nil
}

func rejectionsFedBack(t *trial) error {
	g := t.new(settings{})
	if err := trip(g); err != nil {
		return err
	}
	calls, failures := g.Counts()
	for range 1000 {
		if once(g, nil) {
			return errors.New("not open")
		}
	}
	if c, f := g.Counts(); c != calls || f != failures {
		return fmt.Errorf("1000 rejections moved the counts from %d/%d to %d/%d", failures, calls, f, c)
	}
	time.Sleep(openFor + time.Millisecond)
	if !once(g, nil) || g.State() != closed {
		return fmt.Errorf("%s after a good probe", g.State())
	}
	return nil
}
