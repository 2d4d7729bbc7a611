package resolver

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// refreshRequests carries requests to query a source now. Its capacity is one: while a
// request is pending, further ones add nothing.
type refreshRequests chan struct{}

func (r refreshRequests) request() {
	select {
	case r <- struct{}{}:
	default:
	}
}

// poll implements Watch for a source that must be queried repeatedly. query returns a set
// or an error, and the time until the next query; a refresh request causes a query at once.
// If query returns a set and an error, the set is the best known one. A
// *backoff.PermanentError ends the watch.
//
// poll delivers a set if it differs from the last one or is the first after a failure, and
// an error if its text differs from the last one.
func poll(ctx context.Context, deliver func([]Endpoint, error), refresh refreshRequests, query func(context.Context) ([]Endpoint, time.Duration, error)) error {
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
