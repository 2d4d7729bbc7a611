package rpcx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"resilientrpc/rpcx/internal/dnsttl"
)

const (
	// An answer is asked for again when its smallest TTL is over, but within these.
	minTTL = time.Second
	maxTTL = 5 * time.Minute
	// noTTL stands for the TTL of what came from the hosts file.
	noTTL = 30 * time.Second
	// maxLookups bounds the hosts that are looked up at the same time.
	maxLookups = 8
	// maxRetry bounds the pause after failures, which starts at about a second.
	maxRetry = time.Minute
)

// dnsResolver asks the DNS for the addresses of a host (RFC 1035, 3596), or for the
// servers of a service (SRV, RFC 2782), with the resolver of package net.
//
// A name that does not exist is a failure, not an empty set, for a zone that lost
// its records looks the same. A service with the one target "." has no servers. What
// cannot be learned of a set in part, such as one family of addresses, stays as it
// was: see host.
type dnsResolver struct {
	url    string
	family string // "ip", "ip4" or "ip6"
	server string // the only one asked; empty for the system's
	name   string // absolute if there is a server
	port   string // of every address; empty for a service
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	now    refreshes
}

// Refresh implements Refresher.
func (r *dnsResolver) Refresh() { r.now.request() }

// Watch implements Resolver.
func (r *dnsResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0))
	w := &dnsWatch{dnsResolver: r}
	return poll(ctx, deliver, r.now, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		a, err := w.lookup(ctx)
		if err != nil {
			return nil, retry.NextBackOff(), r.failure(err)
		}
		wait := a.untilStale()
		if a.failed {
			wait = min(wait, retry.NextBackOff())
		} else {
			retry.Reset()
		}
		return a.set, wait, r.failure(a.err)
	})
}

// failure says what could not be resolved, and which server was asked, which net does
// not know.
func (r *dnsResolver) failure(err error) error {
	if err == nil {
		return nil
	}
	var e *net.DNSError
	if r.server != "" && errors.As(err, &e) {
		told := *e
		told.Server = r.server
		err = &told
	}
	return fmt.Errorf("rpcx: resolve %s: %w", r.url, err)
}

// connect goes to the server of the URL instead of that of the system.
func (r *dnsResolver) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if r.server != "" {
		address = r.server
	}
	return r.dial(ctx, network, address)
}

// A dnsWatch is one Watch, with what it knows of the hosts that it asks for.
type dnsWatch struct {
	*dnsResolver
	hosts map[string]*host
}

// A dnsAnswer is what has been learned of a set.
type dnsAnswer struct {
	set       []Endpoint // not nil
	observers []*dnsttl.Observer
	failed    bool  // a part could not be learned
	err       error // why, if the set may not be right because of that
}

// add takes an answer for a host in.
func (a *dnsAnswer) add(h hostAnswer) {
	a.observers = append(a.observers, h.observer)
	a.failed = a.failed || h.failed
	a.err = cmp.Or(a.err, h.err)
}

// fail takes a failure to learn a part of the set in.
func (a *dnsAnswer) fail(err error) {
	a.failed, a.err = true, cmp.Or(a.err, err)
}

// untilStale is how long to wait before asking again: up to a tenth beyond the TTL,
// so that clients whose answers came from one cache do not return as one.
func (a *dnsAnswer) untilStale() time.Duration {
	ttl := time.Duration(math.MaxInt64)
	for _, o := range a.observers {
		if least, ok := o.Least(); ok {
			ttl = min(ttl, least)
		}
	}
	if ttl == math.MaxInt64 {
		ttl = noTTL
	}
	ttl = min(max(ttl, minTTL), maxTTL)
	return ttl + rand.N(ttl/10)
}

// lookup returns the set, or why nothing of it could be learned.
func (w *dnsWatch) lookup(ctx context.Context) (dnsAnswer, error) {
	if w.port == "" {
		return w.services(ctx)
	}
	answers, errs := w.lookupHosts(ctx, []string{w.name})
	if errs[0] != nil {
		return dnsAnswer{}, errs[0]
	}
	a := dnsAnswer{set: located(answers[0].addrs, Endpoint{}, w.name, w.port)}
	a.add(answers[0])
	return a, nil
}

// services returns an endpoint for each server of the service. Its address is the
// target's name, which net.Dial resolves and a certificate shows, unless only the
// server of the URL can be trusted to know the name.
func (w *dnsWatch) services(ctx context.Context) (dnsAnswer, error) {
	resolver, observer := dnsttl.Resolver(w.connect)
	_, records, err := resolver.LookupSRV(ctx, "", "", w.name)
	if err != nil && len(records) == 0 {
		return dnsAnswer{}, err
	}
	a := dnsAnswer{set: []Endpoint{}, observers: []*dnsttl.Observer{observer}}
	if err != nil { // net has left out records with malformed names
		a.fail(err)
	}
	records = slices.DeleteFunc(records, func(r *net.SRV) bool {
		if r.Target != "." && r.Port == 0 {
			a.fail(fmt.Errorf("the record of target %s has the port 0; want one from 1 to 65535", r.Target))
			return true
		}
		return r.Target == "." // "the service is decidedly not available" (RFC 2782)
	})
	if w.server == "" {
		for _, r := range records {
			e := serviceEndpoint(r)
			e.Address = net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
			a.set = append(a.set, e)
		}
	} else {
		w.locate(ctx, &a, records)
	}
	if len(a.set) == 0 && a.err != nil {
		return dnsAnswer{}, a.err
	}
	return a, nil
}

// locate adds the addresses of the records' targets to an answer. A target whose
// addresses cannot be learned keeps those that it has.
func (w *dnsWatch) locate(ctx context.Context, a *dnsAnswer, records []*net.SRV) {
	var targets []string
	for _, r := range records {
		targets = append(targets, r.Target)
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	answers, errs := w.lookupHosts(ctx, targets)
	var missing error
	for i, err := range errs {
		if err == nil {
			a.add(answers[i])
			continue
		}
		if isNotFound(err) { // the record has outlived its host
			w.hosts[targets[i]], missing = new(host), err
			continue
		}
		a.fail(err)
		answers[i].addrs = w.hosts[targets[i]].addrs()
	}
	for _, r := range records {
		i, _ := slices.BinarySearch(targets, r.Target)
		a.set = append(a.set, located(answers[i].addrs, serviceEndpoint(r), r.Target, strconv.Itoa(int(r.Port)))...)
	}
	if len(a.set) == 0 {
		a.err = cmp.Or(a.err, missing)
	}
}

// serviceEndpoint returns the endpoint of a record without its address.
func serviceEndpoint(r *net.SRV) Endpoint {
	// A weight of 0 is to have a very small chance, 1 in the sum of all weights
	// and 1 by the algorithm of RFC 2782: what a weight of 1 has, too.
	return Endpoint{Weight: int(r.Weight), Priority: int(r.Priority)}
}

// lookupHosts looks several hosts up at the same time, and remembers those only.
func (w *dnsWatch) lookupHosts(ctx context.Context, names []string) ([]hostAnswer, []error) {
	hosts := make(map[string]*host, len(names))
	answers, errs := make([]hostAnswer, len(names)), make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(maxLookups)
	for i, name := range names {
		h := cmp.Or(w.hosts[name], new(host))
		hosts[name] = h
		g.Go(func() error {
			answers[i], errs[i] = h.lookup(ctx, w.dnsResolver, name)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // errs has them
	w.hosts = hosts
	return answers, errs
}

// located returns like for each address of a host.
func located(addrs []netip.Addr, like Endpoint, host, port string) []Endpoint {
	set := make([]Endpoint, len(addrs))
	metadata := map[string]string{MetadataHost: strings.TrimSuffix(host, ".")}
	for i, addr := range addrs {
		set[i] = like
		set[i].Address = net.JoinHostPort(addr.Unmap().String(), port)
		set[i].Metadata = metadata
	}
	return set
}
