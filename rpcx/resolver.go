package rpcx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Resolver learns which replicas a service has.
type Resolver interface {
	// Watch delivers the whole set of endpoints, as soon as it is known and each
	// time that it changes, until ctx ends. A failure to learn the set is
	// delivered as err with a nil set; the resolver goes on trying by itself, and
	// the client keeps the last good set. A failure to learn a part of it is delivered
	// after the set. Watch returns only when ctx is done or it
	// gives up for good (its error says why); deliver is not called after it has
	// returned, nor concurrently.
	Watch(ctx context.Context, deliver func(set []Endpoint, err error)) error
}

// A Refresher is a Resolver whose source is asked from time to time, as the DNS is when
// the TTL of its answer ends.
type Refresher interface {
	Resolver
	// Refresh lets Watch ask the source now. The client calls it when it finds all
	// endpoints in use down, and at most every 3 s for as long as they are: the set may
	// have changed since the source was asked. Refresh does not wait for the answer.
	Refresh()
}

// An Endpoint is one replica as a [Resolver] delivers it.
type Endpoint struct {
	Address  string            // for the client's network, as in net.Dial
	Weight   int               // capacity relative to others; 0 means 1, at most 1,000,000
	Priority int               // endpoints of a higher number get calls only while none of a lower number can (SRV, RFC 2782)
	Metadata map[string]string // the resolver's own but for MetadataHost; shown in statistics
}

// MetadataHost is the key under which [Endpoint].Metadata has the name of the server
// where Address has none: what Dialer.TLSConfig's ServerName defaults to. It is as
// trustworthy as the source of the set.
const MetadataHost = "host"

// Static returns the resolver of a set that does not change, for endpoints with
// weights or priorities that are known beforehand. Dial fails at once if there are
// none, if two have the same address, or if one cannot be an address of the network.
func Static(endpoints ...Endpoint) Resolver { return static(slices.Clone(endpoints)) }

type static []Endpoint

// Watch implements Resolver.
func (s static) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	deliver(s, nil)
	<-ctx.Done()
	return ctx.Err()
}

// A delivery is what a resolver says once.
type delivery struct {
	set  []Endpoint
	err  error
	last bool // the resolver has given up
}

// firstSetWithin is how long Dial waits for a resolver: as long as a stub resolver
// of the DNS tries twice.
const firstSetWithin = 10 * time.Second

// resolve runs the resolver until the client is closed. Client.background starts
// it, and Close waits for it. The resolver may change its set once deliver has
// returned.
func (c *core) resolve(r Resolver) {
	send := func(d delivery) {
		select {
		case c.roster.deliveries <- d:
		case <-c.ctx.Done():
		}
	}
	err := r.Watch(c.ctx, func(set []Endpoint, err error) { send(delivery{set: slices.Clone(set), err: err}) })
	if err == nil {
		err = errors.New("it does not say why")
	}
	send(delivery{err: fmt.Errorf("rpcx: the resolver has given up: %w", err), last: true})
}

// firstSet waits for a set that can be used, through failures of the resolver.
func (c *core) firstSet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstSetWithin)
	defer cancel()
	var last error
	for {
		select {
		case d := <-c.roster.deliveries:
			if last = c.roster.hear(time.Now(), d); last == nil || d.last {
				return last
			}
		case <-ctx.Done():
			err := fmt.Errorf("rpcx: the resolver has named no endpoints: %w", ctx.Err())
			if last != nil {
				err = &lastError{err, last}
			}
			return err
		}
	}
}
