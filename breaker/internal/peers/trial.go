package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A trial is one hard case tried on one contender, in virtual time.
type trial struct {
	contender
	held []*call
}

// A call runs inside a guard's Do until the trial ends it.
type call struct {
	entered bool
	ended   bool
	result  chan error
}

// run tries c on a contender and returns why it failed, or nil.
func (c hardCase) run(t *testing.T, who contender) (err error) {
	if c.process {
		return inProcess(who)
	}
	synctest.Test(t, func(*testing.T) {
		tr := &trial{contender: who}
		err = c.try(tr)
		for _, call := range tr.held { // nobody may stay in the bubble
			call.end(nil)
		}
	})
	return err
}

// hold begins a call and leaves it running. ok tells whether it was let in.
func (t *trial) hold(g guard) (c *call, ok bool) {
	c = &call{result: make(chan error)}
	go func() {
		_ = g.Do(context.Background(), func(context.Context) error {
			c.entered = true
			return <-c.result
		})
	}()
	synctest.Wait()
	if c.entered {
		t.held = append(t.held, c)
	}
	return c, c.entered
}

// holdN begins n calls. All must be admitted.
func (t *trial) holdN(g guard, n int) ([]*call, error) {
	calls := make([]*call, n)
	for i := range calls {
		c, ok := t.hold(g)
		if !ok {
			return nil, fmt.Errorf("call %d of %d was turned away", i+1, n)
		}
		calls[i] = c
	}
	return calls, nil
}

// end makes the call return err to the guard.
func (c *call) end(err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.result <- err
	synctest.Wait()
}

// once makes a call that returns err at once, and reports whether it was let in.
func once(g guard, err error) bool {
	entered := false
	_ = g.Do(context.Background(), func(context.Context) error {
		entered = true
		return err
	})
	return entered
}

// trip fails calls until the guard opens.
func trip(g guard) error {
	for range 20 {
		if !once(g, errDown) {
			break
		}
	}
	return expect(g, open)
}

// ripen trips a guard and waits until it will let probes in.
func ripen(g guard) error {
	err := trip(g)
	time.Sleep(openFor + time.Millisecond)
	return err
}

func expect(g guard, want state) error {
	if got := g.State(); got != want {
		return fmt.Errorf("%s, want %s", got, want)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
