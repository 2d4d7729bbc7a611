package rpcx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/rpcx/internal/dnsttl"
)

const (
	// An answer is asked for again when its smallest TTL is over, but within these.
	minTTL = time.Second
	maxTTL = 5 * time.Minute
	// noTTL stands for the TTL of what came from the hosts file.
	noTTL = 30 * time.Second
	// maxRetry bounds the pause after failures, which starts at about a second.
	maxRetry = time.Minute
)

// dnsResolver asks the DNS for the addresses of a host (RFC 1035, 3596), or for the
// servers of a service (SRV, RFC 2782), with the resolver of package net.
//
// A name that does not exist is a failure, not an empty set, for a zone that lost
// its records looks the same. A service with the one target "." has no servers.
type dnsResolver struct {
	url    string
	family string // "ip", "ip4" or "ip6"
	server string // the only one asked; empty for the system's
	name   string // absolute if there is a server
	port   string // of every address; empty for a service
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// Watch implements Resolver.
func (r *dnsResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0))
	return poll(ctx, deliver, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		set, ttl, err := r.lookup(ctx)
		if err != nil {
			return nil, retry.NextBackOff(), err
		}
		retry.Reset()
		return set, ttl, nil
	})
}

// lookup returns the set, and for how long to take it for true.
func (r *dnsResolver) lookup(ctx context.Context) ([]Endpoint, time.Duration, error) {
	resolver, ttl := dnsttl.Resolver(r.connect)
	find := r.hosts
	if r.port == "" {
		find = r.services
	}
	set, err := find(ctx, resolver)
	if err != nil {
		return nil, 0, fmt.Errorf("rpcx: resolve %s: %w", r.url, r.explain(err))
	}
	return set, untilStale(ttl), nil
}

// untilStale is how long to wait before asking again: up to a tenth beyond the TTL,
// so that clients whose answers came from one cache do not return as one.
func untilStale(t *dnsttl.TTL) time.Duration {
	ttl, ok := t.Least()
	if !ok {
		ttl = noTTL
	}
	ttl = min(max(ttl, minTTL), maxTTL)
	return ttl + rand.N(ttl/10)
}

// connect goes to the server of the URL instead of that of the system.
func (r *dnsResolver) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if r.server != "" {
		address = r.server
	}
	return r.dial(ctx, network, address)
}

// explain names the server that was asked, which net does not know.
func (r *dnsResolver) explain(err error) error {
	var e *net.DNSError
	if r.server == "" || !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Server = r.server
	return &told
}

// hosts returns an endpoint for each address of the host.
func (r *dnsResolver) hosts(ctx context.Context, resolver *net.Resolver) ([]Endpoint, error) {
	addrs, err := resolver.LookupNetIP(ctx, r.family, r.name)
	if err != nil {
		return nil, err
	}
	return r.located(addrs, Endpoint{}, r.name, r.port), nil
}

// services returns an endpoint for each server of the service. Its address is the
// target's name, which net.Dial resolves and a certificate shows, unless only the
// server of the URL can be trusted to know the name.
func (r *dnsResolver) services(ctx context.Context, resolver *net.Resolver) ([]Endpoint, error) {
	_, records, err := resolver.LookupSRV(ctx, "", "", r.name)
	if err != nil {
		return nil, err
	}
	var set []Endpoint
	var missing error
	for _, record := range records {
		if record.Target == "." {
			continue // "the service is decidedly not available" (RFC 2782)
		}
		// A weight of 0 is to have a very small chance, 1 in the sum of all weights
		// and 1 by the algorithm of RFC 2782: what a weight of 1 has, too.
		e := Endpoint{Weight: int(record.Weight), Priority: int(record.Priority)}
		port := strconv.Itoa(int(record.Port))
		if r.server == "" {
			e.Address = net.JoinHostPort(strings.TrimSuffix(record.Target, "."), port)
			set = append(set, e)
			continue
		}
		addrs, err := resolver.LookupNetIP(ctx, r.family, record.Target)
		switch {
		case isNotFound(err):
			missing = err // the record has outlived its host
		case err != nil:
			return nil, err
		default:
			set = append(set, r.located(addrs, e, record.Target, port)...)
		}
	}
	if len(set) == 0 && missing != nil {
		return nil, missing
	}
	return set, nil
}

// located returns like for each address of a host.
func (r *dnsResolver) located(addrs []netip.Addr, like Endpoint, host, port string) []Endpoint {
	set := make([]Endpoint, len(addrs))
	metadata := map[string]string{MetadataHost: strings.TrimSuffix(host, ".")}
	for i, addr := range addrs {
		set[i] = like
		set[i].Address = net.JoinHostPort(addr.Unmap().String(), port)
		set[i].Metadata = metadata
	}
	return set
}

func isNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}
