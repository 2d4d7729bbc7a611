package resolver

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A watched resolver collects what its Watch delivers.
type watched struct {
	cancel context.CancelFunc
	end    chan error

	mu         sync.Mutex // protects following
	deliveries []delivery
}

// A delivery is one call of deliver.
type delivery struct {
	at  time.Time
	set []Endpoint
	err error
}

// watch starts r.Watch. The caller must call stop.
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
	w.deliveries = append(w.deliveries, delivery{time.Now(), slices.Clone(set), err})
}

// stop ends the watch and returns its error.
func (w *watched) stop() error {
	w.cancel()
	return <-w.end
}

// received returns the deliveries since it was last called.
func (w *watched) received() []delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	ds := w.deliveries
	w.deliveries = nil
	return ds
}

// within waits for d in virtual time and returns the deliveries since the last call of
// received or within.
func (w *watched) within(d time.Duration) []delivery {
	time.Sleep(d) // virtual
	synctest.Wait()
	return w.received()
}

// addresses returns the addresses of the only delivery in ds.
func addresses(t *testing.T, ds []delivery) []string {
	t.Helper()
	require.Len(t, ds, 1)
	require.NoError(t, ds[0].err)
	require.NotNil(t, ds[0].set, "a nil set means a failure")
	list := []string{}
	for _, e := range ds[0].set {
		list = append(list, e.Address)
	}
	return list
}

// failure returns the error of the only delivery in ds.
func failure(t *testing.T, ds []delivery) error {
	t.Helper()
	require.Len(t, ds, 1)
	require.Nil(t, ds[0].set)
	require.Error(t, ds[0].err)
	return ds[0].err
}
