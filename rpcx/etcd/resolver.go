package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"resilientrpc/rpcx"
)

const (
	// timeout bounds one request.
	timeout = 3 * time.Second
	// checkInterval is how often etcd is asked for a sign of life: a watch whose
	// server is gone waits in silence.
	checkInterval = 5 * time.Second
	// batch is how long changes are collected before the set is delivered, so that
	// a thousand of them do not make a thousand sets.
	batch = 20 * time.Millisecond
	// maxRetry bounds the pause after failures, which starts at about half a second.
	maxRetry = 15 * time.Second
)

// A Resolver follows the set of replicas that are registered for a service. It is
// the value of rpcx.Dialer's Resolver.
//
// It reads the set and then watches from its revision on, so that it misses no change. It
// reads the set again if the revision has been compacted, and when etcd is back after a
// failure. A failure is delivered within about eight seconds. A malformed key is left out
// of the set, and delivered as an error after it.
type Resolver struct {
	// Client is the client of etcd. It is not closed.
	Client *clientv3.Client
	// Service is the name that the replicas are registered under.
	Service string
}

// Watch implements [rpcx.Resolver]. It may be called several times, and concurrently.
func (r *Resolver) Watch(ctx context.Context, deliver func([]rpcx.Endpoint, error)) error {
	if r.Client == nil || r.Service == "" {
		return errors.New("etcd: Resolver needs a Client and the name of a Service")
	}
	retry := backoff.NewExponentialBackOff(
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0))
	var failure string
	for ctx.Err() == nil {
		w := &watch{Resolver: r, deliver: deliver, listed: func() { failure = ""; retry.Reset() }}
		err := w.run(ctx)
		if ctx.Err() != nil || errors.Is(err, rpctypes.ErrCompacted) {
			continue
		}
		if err = fmt.Errorf("etcd: resolve %s: %w", r.Service, err); err.Error() != failure {
			failure = err.Error()
			deliver(nil, err)
		}
		pause(ctx, retry.NextBackOff())
	}
	return ctx.Err()
}

// A watch is what is known from one reading of the set to the next.
type watch struct {
	*Resolver
	deliver func([]rpcx.Endpoint, error)
	listed  func() // is called when the set has been read

	set map[string]rpcx.Endpoint // by key
	bad map[string]error         // by key
}

// run reads the set, and delivers it and its changes until something fails.
func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch in the client
	revision, err := w.list(ctx)
	if err != nil {
		return err
	}
	w.listed()
	w.publish()
	events := w.Client.Watch(clientv3.WithRequireLeader(ctx), prefix(w.Service),
		clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithFragment())
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case resp, ok := <-events:
			if !ok {
				return errors.New("the watch has ended")
			}
			if err := resp.Err(); err != nil {
				return err
			}
			if w.apply(resp.Events) && due == nil {
				due = time.After(batch)
			}
		case <-due:
			due = nil
			w.publish()
		case <-check.C:
			if _, err := w.get(ctx, clientv3.WithCountOnly()); err != nil {
				return err
			}
		}
	}
}

// list reads the set and returns its revision.
func (w *watch) list(ctx context.Context) (int64, error) {
	resp, err := w.get(ctx)
	if err != nil {
		return 0, err
	}
	w.set, w.bad = make(map[string]rpcx.Endpoint), make(map[string]error)
	for _, kv := range resp.Kvs {
		w.put(string(kv.Key), kv.Value)
	}
	return resp.Header.Revision, nil
}

func (w *watch) get(ctx context.Context, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return w.Client.Get(ctx, prefix(w.Service), append(options, clientv3.WithPrefix())...)
}

// apply takes changes in, and reports whether there were any.
func (w *watch) apply(events []*clientv3.Event) bool {
	for _, event := range events {
		key := string(event.Kv.Key)
		if event.Type == clientv3.EventTypeDelete {
			delete(w.set, key)
			delete(w.bad, key)
			continue
		}
		w.put(key, event.Kv.Value)
	}
	return len(events) > 0
}

func (w *watch) put(key string, value []byte) {
	delete(w.set, key)
	delete(w.bad, key)
	e, err := decode(key[len(prefix(w.Service)):], value)
	if err != nil {
		w.bad[key] = fmt.Errorf("etcd: resolve %s: key %s: %w", w.Service, key, err)
		return
	}
	w.set[key] = e
}

// publish delivers the set in the order of its keys, and then the first of the keys
// that are not in it although they should.
func (w *watch) publish() {
	set := make([]rpcx.Endpoint, 0, len(w.set))
	for _, key := range slices.Sorted(maps.Keys(w.set)) {
		set = append(set, w.set[key])
	}
	w.deliver(set, nil)
	for _, key := range slices.Sorted(maps.Keys(w.bad)) {
		w.deliver(nil, w.bad[key])
		return
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
