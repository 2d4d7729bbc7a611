package rpcx

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// poll watches a source that has to be asked: ask returns the set, or why it could
// not be learned, and how long to wait before it is called again. What has not
// changed is not delivered anew, a failure neither; after a failure the set is, so
// that the client knows of the failure's end.
func poll(ctx context.Context, deliver func([]Endpoint, error), ask func(context.Context) ([]Endpoint, time.Duration, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last []Endpoint
	failure := "none yet"
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		set, wait, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if err.Error() != failure {
				deliver(nil, err)
			}
			failure = err.Error()
		default:
			set = arrange(set)
			if failure != "" || !slices.EqualFunc(set, last, sameEndpoint) {
				deliver(set, nil)
			}
			last, failure = set, ""
		}
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
