package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

var errDatabase = errors.New("the database is gone")

// A rule alone does not say what is wrong with the endpoint.
func TestCauseNamesTheLastFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  breaker.Config
		want string
	}{
		"run":    {breaker.Config{ConsecutiveFailures: 2}, "2 consecutive failures, last: the database is gone"},
		"ratio":  {breaker.Config{ConsecutiveFailures: -1, FailureRatio: .5, MinCalls: 2}, "2 of 2 calls failed within 10s, last: the database is gone"},
		"number": {breaker.Config{ConsecutiveFailures: -1, FailuresInWindow: 2}, "2 failures within 10s, last: the database is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := breaker.New(tt.cfg)
			require.NoError(t, err)
			now := time.Now()
			fail(t, b, now, errors.New("an older one"))
			fail(t, b, now, errDatabase)
			cause := b.Stats(now).Cause
			require.EqualError(t, cause, tt.want)
			require.NotErrorIs(t, cause, errDatabase, "it is another call's error")
		})
	}
}

func TestCauseNamesTheProbesFailure(t *testing.T) {
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 1, OpenFor: time.Second})
	require.NoError(t, err)
	now := time.Now()
	fail(t, b, now, errDatabase)
	now = now.Add(2 * time.Second)
	fail(t, b, now, errors.New("it is still gone"))
	require.EqualError(t, b.Stats(now).Cause,
		"the probe failed, last: it is still gone (first opened: 1 consecutive failure, last: the database is gone)")
}

func TestCauseOfAFailureWithoutAnError(t *testing.T) {
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 1})
	require.NoError(t, err)
	now := time.Now()
	fail(t, b, now, nil)
	require.EqualError(t, b.Stats(now).Cause, "1 consecutive failure")
}

func TestDoKeepsTheError(t *testing.T) {
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 1})
	require.NoError(t, err)
	err = b.Do(t.Context(), func(context.Context) error { return errDatabase })
	require.Equal(t, errDatabase, err)
	err = b.Do(t.Context(), func(context.Context) error { return nil })
	require.ErrorContains(t, err, "1 consecutive failure, last: the database is gone")
}

func fail(t *testing.T, b *breaker.Breaker, now time.Time, err error) {
	t.Helper()
	p, refused := b.Allow(now)
	require.NoError(t, refused)
	p.Done(now, breaker.Failure, err)
}
