package rpcx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"resilientrpc/rpcx/internal/cause"
	"resilientrpc/rpcx/internal/rescue"
	"resilientrpc/rpcx/resolver"
)

// The types of package rpcx/resolver that a Dialer uses.
type (
	// A Resolver determines the endpoints of a service; see [resolver.Resolver].
	Resolver = resolver.Resolver
	// A Refresher is a Resolver that can query its source on request; see
	// [resolver.Refresher].
	Refresher = resolver.Refresher
	// An Endpoint is one replica of a service; see [resolver.Endpoint].
	Endpoint = resolver.Endpoint
)

// MetadataHost is [resolver.MetadataHost].
const MetadataHost = resolver.MetadataHost

// Static returns the resolver of a set that does not change, for endpoints whose weights
// or priorities are known in advance; see [resolver.Static]. Dial fails at once if the set
// is empty, if two endpoints have the same address, or if an address is not valid for the
// network.
func Static(endpoints ...Endpoint) Resolver { return resolver.Static(slices.Clone(endpoints)) }

// A delivery is one call of a resolver's deliver function.
type delivery struct {
	set  []Endpoint
	err  error
	last bool // the resolver has given up
}

// firstSetWithin bounds the wait of Dial for a resolver's first set: in that time a stub
// resolver of the DNS tries twice.
const firstSetWithin = 10 * time.Second

// resolve runs the resolver until the client is closed. Client.background starts it, and
// Close waits for it.
func (c *core) resolve(r Resolver) {
	send := func(d delivery) {
		select {
		case c.membership.deliveries <- d:
		case <-c.ctx.Done():
		}
	}
	// The resolver may change the set once deliver has returned.
	err := watchSet(c.ctx, r, func(set []Endpoint, err error) { send(delivery{set: slices.Clone(set), err: err}) })
	c.panics.Note(err)
	if err == nil {
		err = errors.New("it does not say why")
	}
	send(delivery{err: fmt.Errorf("rpcx: the resolver has given up: %w", err), last: true})
}

// watchSet is the resolver's Watch, whose panic is an error.
func watchSet(ctx context.Context, r Resolver, deliver func([]Endpoint, error)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = rescue.Panicked("Resolver", p)
		}
	}()
	return r.Watch(ctx, deliver)
}

// firstSet waits for the first usable set. Failures that the resolver recovers from do not
// end the wait.
func (c *core) firstSet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstSetWithin)
	defer cancel()
	var last error
	for {
		select {
		case d := <-c.membership.deliveries:
			if last = c.membership.apply(time.Now(), d); last == nil || d.last {
				return last
			}
		case <-ctx.Done():
			err := fmt.Errorf("rpcx: the resolver has named no endpoints: %w", cause.Of(ctx))
			if last != nil {
				err = &lastError{err, last}
			}
			return err
		}
	}
}
