package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

func staleDecides(t *trial) error {
	for _, late := range []error{nil, errDown} {
		g := t.new(settings{})
		old, err := t.holdN(g, 1)
		err = first(err, ripen(g))
		_, probing := t.hold(g)
		if err != nil || !probing {
			return fmt.Errorf("no probe: %w", err)
		}
		old[0].end(late)
		if err := expect(g, halfOpen); err != nil {
			return fmt.Errorf("after a stale result (%v): %w", late, err)
		}
	}
	return nil
}

func staleMints(t *trial) error {
	g := t.new(settings{probes: 5})
	old, err := t.holdN(g, 4)
	if err = first(err, ripen(g)); err != nil {
		return err
	}
	if _, err := t.holdN(g, 5); err != nil {
		return err
	}
	for _, c := range old {
		c.end(nil)
	}
	probes := 5
	for range 10 {
		if _, ok := t.hold(g); ok {
			probes++
		}
	}
	if probes > 5 {
		return fmt.Errorf("%d probes at once, 5 allowed", probes)
	}
	return nil
}

// The hung call ignores its context, as a net/rpc call does.
func hungProbe(t *trial) error {
	g := t.new(settings{})
	if err := ripen(g); err != nil {
		return err
	}
	if _, err := t.holdN(g, 1); err != nil {
		return err
	}
	time.Sleep(10 * openFor)
	if !once(g, nil) {
		return fmt.Errorf("still %s and shut %v later", g.State(), 10*openFor)
	}
	return nil
}

func dyingProbe(t *trial) error {
	for _, end := range []struct {
		name string
		die  func()
	}{{"panic", func() { panic("probe") }}, {"Goexit", runtime.Goexit}} {
		g := t.new(settings{})
		if err := ripen(g); err != nil {
			return err
		}
		go func() {
			defer func() { _ = recover() }()
			_ = g.Do(context.Background(), func(context.Context) error { end.die(); return nil })
		}()
		synctest.Wait()
		time.Sleep(10 * openFor)
		if !once(g, nil) {
			return fmt.Errorf("%s: still %s and shut %v later", end.name, g.State(), 10*openFor)
		}
	}
	return nil
}

func canceledProbeLeaks(t *trial) error {
	g := t.new(settings{probes: 2})
	if err := ripen(g); err != nil {
		return err
	}
	for i := range 3 {
		c, ok := t.hold(g)
		if !ok {
			return fmt.Errorf("no permit left after %d canceled probes", i)
		}
		c.end(context.Canceled)
	}
	return nil
}

func canceledProbeCloses(t *trial) error {
	g := t.new(settings{})
	if err := ripen(g); err != nil {
		return err
	}
	once(g, context.Canceled)
	if g.State() == closed {
		return errors.New("closed by a probe that proved nothing")
	}
	return nil
}

func stampede(t *trial) error {
	for _, probes := range []int{1, 3} {
		g := t.new(settings{probes: probes})
		if err := ripen(g); err != nil {
			return err
		}
		var entered atomic.Int64
		end := make(chan struct{})
		for range 64 {
			go func() {
				_ = g.Do(context.Background(), func(context.Context) error {
					entered.Add(1)
					<-end
					return nil
				})
			}()
		}
		synctest.Wait()
		close(end)
		if n := entered.Load(); n != int64(probes) {
			return fmt.Errorf("%d probes at once, %d allowed", n, probes)
		}
	}
	return nil
}

func racingSuccess(t *trial) error {
	const probes = 4
	for bad := range probes { // whose turn it is to fail
		g := t.new(settings{probes: probes})
		if err := ripen(g); err != nil {
			return err
		}
		calls, err := t.holdN(g, probes)
		if err != nil {
			return err
		}
		for i, c := range calls {
			if i == bad {
				c.end(errDown)
			} else {
				c.end(nil)
			}
		}
		if err := expect(g, open); err != nil {
			return fmt.Errorf("probe %d of %d failed: %w", bad+1, probes, err)
		}
	}
	return nil
}

// No time passes in this case, so whoever is let in after the trip was let in
// too early.
func earlyState(t *trial) error {
	for range 200 {
		g := t.new(settings{})
		var early atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if g.State() == open && once(g, errDown) {
						early.Store(true)
					}
				}
			})
		}
		err := trip(g)
		wg.Wait()
		if err != nil || early.Load() {
			return fmt.Errorf("let in right after it opened: %v, %w", early.Load(), err)
		}
	}
	return nil
}

func lateFailures(t *trial) error {
	opened := 0
	g := t.new(settings{onChange: func(to state) {
		if to == open {
			opened++
		}
	}})
	late, err := t.holdN(g, 50)
	if err = first(err, trip(g)); err != nil {
		return err
	}
	for _, c := range late {
		time.Sleep(openFor / 100)
		c.end(errDown)
	}
	if opened != 1 {
		return fmt.Errorf("%d events of opening, want 1", opened)
	}
	time.Sleep(openFor/2 + time.Millisecond)
	if !once(g, nil) {
		return errors.New("the open interval has been extended")
	}
	return nil
}

func failedDial(t *trial) error {
	g := t.new(settings{})
	if err := ripen(g); err != nil {
		return err
	}
	if !once(g, fmt.Errorf("dial: %w", errDown)) {
		return errors.New("no probe")
	}
	return expect(g, open)
}
