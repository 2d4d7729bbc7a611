package breaker_test

import (
	"errors"
	"fmt"
	"time"

	"resilientrpc/breaker"
)

// The caller hands in the time, so a whole outage fits into an example.
func Example() {
	b, err := breaker.New(breaker.Config{
		Rand:     func() float64 { return 0 }, // no jitter: half of the interval
		OnChange: func(e breaker.Event) { fmt.Println(e.From, "→", e.To) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

	for range 5 { // the endpoint is down
		permit, _ := b.Allow(now)
		permit.Done(now, breaker.Failure, nil)
	}
	_, err = b.Allow(now)
	fmt.Println(err, errors.Is(err, breaker.ErrOpen))

	now = now.Add(500 * time.Millisecond) // it is back, and a probe finds out
	permit, _ := b.Allow(now)
	permit.Done(now, breaker.Success, nil)

	// Output:
	// closed → open
	// breaker: open, retry after 500ms: 5 consecutive failures true
	// open → half-open
	// half-open → closed
}
