package rpcx

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// refreshes are requests to ask a source now; there is room for one.
type refreshes chan struct{}

func (r refreshes) request() {
	select {
	case r <- struct{}{}:
	default:
	}
}

// poll watches a source that has to be asked: ask returns the set, or why it could
// not be learned, and how long to wait before it is called again, unless that is
// requested. With both, the set is the best there is. A *backoff.PermanentError ends
// the watch. What has not changed is not
// delivered anew, a failure neither; after a failure the set is, so that the client
// knows of the failure's end.
func poll(ctx context.Context, deliver func([]Endpoint, error), now refreshes, ask func(context.Context) ([]Endpoint, time.Duration, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last []Endpoint // nil at first
	failure := ""
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-now:
		}
		set, wait, err := ask(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var permanent *backoff.PermanentError
		if errors.As(err, &permanent) {
			return permanent.Err
		}
		if err == nil || set != nil {
			set = arrange(set)
			over := err == nil && failure != ""
			if last == nil || over || !slices.EqualFunc(set, last, sameEndpoint) {
				deliver(set, nil)
			}
			last = set
		}
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != failure && err != nil {
			deliver(nil, err)
		}
		failure = said
		timer.Reset(wait)
	}
}

// arrange sorts a set by address, so that sets can be compared, and keeps each
// address once. It returns an empty set for a nil one: nil is for failures.
func arrange(set []Endpoint) []Endpoint {
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
