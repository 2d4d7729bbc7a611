package breaker

import (
	"context"
	"errors"
	"time"
)

// Do runs fn if the breaker permits it and returns fn's error. If not, it returns an
// *OpenError. If ctx is done, it returns ctx's error and does not run fn. Do reads
// the clock.
//
// Config.Classify decides the outcome, with two exceptions. A panic or
// runtime.Goexit in fn is a Failure and continues after Do. If ctx's deadline ends
// fn in less than Config.SlowCall, the outcome is Ignored: the deadline was too
// short to tell.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	permit, err := b.Allow(start)
	if err != nil {
		return err
	}
	outcome := Failure // unless fn returns
	defer func() { permit.Done(time.Now(), outcome, err) }()
	err = fn(ctx)
	outcome = b.cfg.Classify(err)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil && time.Since(start) < b.cfg.SlowCall {
		outcome = Ignored
	}
	return err
}

func classify(err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.Is(err, context.Canceled):
		return Ignored
	}
	return Failure
}
