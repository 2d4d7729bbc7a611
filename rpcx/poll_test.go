package rpcx

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A watched is what a resolver has delivered.
type watched struct {
	cancel context.CancelFunc
	end    chan error

	mu         sync.Mutex // protects following
	deliveries []told
}

type told struct {
	at  time.Time
	set []Endpoint
	err error
}

// watch starts to watch; the caller ends it with stop.
func watch(t *testing.T, r Resolver) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{cancel: cancel, end: make(chan error, 1)}
	go func() { w.end <- r.Watch(ctx, w.deliver) }()
	return w
}

func (w *watched) deliver(set []Endpoint, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliveries = append(w.deliveries, told{time.Now(), slices.Clone(set), err})
}

// stop ends the watch and returns its error.
func (w *watched) stop() error {
	w.cancel()
	return <-w.end
}

// take returns what has been delivered since it was last called.
func (w *watched) take() []told {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.deliveries
	w.deliveries = nil
	return taken
}

// within returns what is delivered in the time d from now, which is virtual.
func (w *watched) within(d time.Duration) []told {
	time.Sleep(d) // virtual
	synctest.Wait()
	return w.take()
}

// addresses is what the only delivery in ds has in its set.
func addresses(t *testing.T, ds []told) []string {
	t.Helper()
	require.Len(t, ds, 1)
	require.NoError(t, ds[0].err)
	require.NotNil(t, ds[0].set, "nil is for failures")
	list := []string{}
	for _, e := range ds[0].set {
		list = append(list, e.Address)
	}
	return list
}

// failure is the error of the only delivery in ds.
func failure(t *testing.T, ds []told) error {
	t.Helper()
	require.Len(t, ds, 1)
	require.Nil(t, ds[0].set)
	require.Error(t, ds[0].err)
	return ds[0].err
}

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
			{answer{nil, errors.New("x")}, 0}, // said already
			{answer{nil, errors.New("y")}, 1},
			{answer{[]Endpoint{a, known}, nil}, 1}, // the failure is over
			{answer{nil, nil}, 1},                  // empty, and no failure
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
			ds := w.take()
			require.Len(t, ds, a.want, "answer %d", i)
			for _, d := range ds {
				require.Equal(t, a.err, d.err)
				require.Equal(t, a.err == nil, d.set != nil, "nil is for failures")
			}
			if i < len(answers)-1 {
				time.Sleep(time.Second) // virtual
			}
		}
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// What is asked for when the watch ends is not delivered.
func TestPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, polled(func(ctx context.Context) ([]Endpoint, time.Duration, error) {
			<-ctx.Done()
			return nil, 0, ctx.Err()
		}))
		synctest.Wait()
		require.ErrorIs(t, w.stop(), context.Canceled)
		require.Empty(t, w.take())
	})
}
