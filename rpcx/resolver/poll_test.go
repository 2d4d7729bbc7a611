package resolver

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A polled resolver polls a function.
type polled func(context.Context) ([]Endpoint, time.Duration, error)

func (p polled) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	return poll(ctx, deliver, nil, p)
}

func TestPollDeliversChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type answer struct {
			set []Endpoint
			err error
		}
		a, b := Endpoint{Address: "a:1"}, Endpoint{Address: "b:1"}
		heavy := Endpoint{Address: "b:1", Weight: 2}
		known := Endpoint{Address: "b:1", Weight: 2, Metadata: map[string]string{"zone": "x"}}
		answers := []struct {
			answer
			want int // deliveries
		}{
			{answer{[]Endpoint{b, a}, nil}, 1},
			{answer{[]Endpoint{a, b}, nil}, 0}, // another order is no change
			{answer{[]Endpoint{a, b, b}, nil}, 0},
			{answer{[]Endpoint{a, heavy}, nil}, 1},
			{answer{[]Endpoint{a, known}, nil}, 1},
			{answer{nil, errors.New("x")}, 1},
			{answer{nil, errors.New("x")}, 0}, // the same text
			{answer{nil, errors.New("y")}, 1},
			{answer{[]Endpoint{a, known}, nil}, 1}, // the failure has ended
			{answer{nil, nil}, 1},                  // an empty set is not a failure
			{answer{nil, nil}, 0},
		}
		var next atomic.Int64
		w := watch(t, polled(func(context.Context) ([]Endpoint, time.Duration, error) {
			a := answers[next.Add(1)-1]
			return slices.Clone(a.set), time.Second, a.err
		}))
		time.Sleep(time.Second / 2) // virtual: stay between two polls
		for i, a := range answers {
			synctest.Wait()
			require.EqualValues(t, i+1, next.Load())
			ds := w.received()
			require.Len(t, ds, a.want, "answer %d", i)
			for _, d := range ds {
				require.Equal(t, a.err, d.err)
				require.Equal(t, a.err == nil, d.set != nil, "a nil set means a failure")
			}
			if i < len(answers)-1 {
				time.Sleep(time.Second) // virtual
			}
		}
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// The result of a query during which the watch ends is not delivered.
func TestPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, polled(func(ctx context.Context) ([]Endpoint, time.Duration, error) {
			<-ctx.Done()
			return nil, 0, ctx.Err()
		}))
		synctest.Wait()
		require.ErrorIs(t, w.stop(), context.Canceled)
		require.Empty(t, w.received())
	})
}
