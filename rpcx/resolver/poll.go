package resolver

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// refreshRequests carries requests to query a source now to each watch of a resolver. The
// zero value is ready for use.
type refreshRequests struct {
	mu      sync.Mutex             // protects following
	watches map[chan struct{}]bool // of capacity one: while a request is pending, further ones add nothing
}

func (r *refreshRequests) request() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.watches {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// watch returns a channel for the requests of one watch, until stop is called.
func (r *refreshRequests) watch() (requests <-chan struct{}, stop func()) {
	w := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watches == nil {
		r.watches = make(map[chan struct{}]bool)
	}
	r.watches[w] = true
	return w, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watches, w)
	}
}

// poll implements Watch for a source that must be queried repeatedly. query returns a set
// or an error, and the time until the next query; a refresh request causes a query at once.
// If query returns a set and an error, the set is the best known one. A
// *backoff.PermanentError ends the watch.
//
// poll delivers a set if it differs from the last one or is the first after a failure, and
// an error if its text differs from the last one.
func poll(ctx context.Context, deliver func([]Endpoint, error), refresh <-chan struct{}, query func(context.Context) ([]Endpoint, time.Duration, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last []Endpoint // nil before the first set
	failure := ""       // the text of the last query's error
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-refresh:
		}
		set, wait, err := query(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var permanent *backoff.PermanentError
		if errors.As(err, &permanent) {
			return permanent.Err
		}
		if err == nil || set != nil {
			set = normalize(set)
			recovered := err == nil && failure != ""
			if last == nil || recovered || !slices.EqualFunc(set, last, sameEndpoint) {
				deliver(set, nil)
			}
			last = set
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != failure && err != nil {
			deliver(nil, err)
		}
		failure = text
		timer.Reset(wait)
	}
}

// normalize sorts a set by address, so that sets can be compared, and removes repeated
// addresses. It returns an empty set for nil, because a nil set means a failure.
func normalize(set []Endpoint) []Endpoint {
	slices.SortFunc(set, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
	})
	set = slices.CompactFunc(set, func(a, b Endpoint) bool { return a.Address == b.Address })
	if set == nil {
		set = []Endpoint{}
	}
	return set
}

func sameEndpoint(a, b Endpoint) bool {
	return a.Address == b.Address && a.Weight == b.Weight && a.Priority == b.Priority && maps.Equal(a.Metadata, b.Metadata)
}
