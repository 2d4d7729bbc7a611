package breaker

import (
	"context"
	"errors"
	"time"
)

// Do runs fn if the breaker lets it, and returns its error; a rejection is an
// *OpenError. It reads the clock itself. Config.Classify judges the error.
// A panic or runtime.Goexit in fn goes on its way and counts as a Failure.
//
// If ctx is done, fn is not run and ctx's error is returned. A deadline of ctx
// that fn missed before Config.SlowCall had passed is Ignored: no one could
// have met it. Without SlowCall it is judged like any other error.
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
