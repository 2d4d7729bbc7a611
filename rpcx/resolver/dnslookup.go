package resolver

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilientrpc/rpcx/internal/dnsttl"
)

const (
	// minTTL and maxTTL bound the time from an answer to the next query. Between them it
	// is the smallest TTL in the answer.
	minTTL = time.Second
	maxTTL = 5 * time.Minute
	// noTTL is the TTL of an answer from the hosts file.
	noTTL = 30 * time.Second
	// maxLookups bounds the hosts that are looked up at the same time.
	maxLookups = 8
)

// A dnsWatch is one call of Watch. It keeps the last answers for each host.
type dnsWatch struct {
	*dnsResolver
	hosts map[string]*host
}

// A dnsAnswer is the result of one look-up of the whole set.
type dnsAnswer struct {
	set        []Endpoint // not nil
	observers  []*dnsttl.Observer
	incomplete bool  // a query for a part of the set has failed
	err        error // the error of that query, if the set may be wrong
}

// add merges the state of a host's answer, but not its addresses.
func (a *dnsAnswer) add(h hostAnswer) {
	a.observers = append(a.observers, h.observer)
	a.incomplete = a.incomplete || h.incomplete
	a.err = cmp.Or(a.err, h.err)
}

// fail records that a part of the set could not be determined.
func (a *dnsAnswer) fail(err error) {
	a.incomplete, a.err = true, cmp.Or(a.err, err)
}

// lifetime returns the time until the next query: the TTL and up to a tenth more, so that
// clients whose answers came from the same cache do not all query at the same time.
func (a *dnsAnswer) lifetime() time.Duration {
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

// lookup returns the set, or an error if no part of it can be determined.
func (w *dnsWatch) lookup(ctx context.Context) (dnsAnswer, error) {
	if w.port == "" {
		return w.lookupService(ctx)
	}
	answers, errs := w.lookupHosts(ctx, []string{w.name})
	if errs[0] != nil {
		return dnsAnswer{}, errs[0]
	}
	a := dnsAnswer{set: endpointsAt(answers[0].addrs, Endpoint{}, w.name, w.port)}
	a.add(answers[0])
	return a, nil
}

// lookupService returns an endpoint for each SRV record: its target's name and port, or
// the addresses of the target if the resolver has a name server of its own.
func (w *dnsWatch) lookupService(ctx context.Context) (dnsAnswer, error) {
	resolver, observer := dnsttl.Resolver(w.connect)
	_, records, err := resolver.LookupSRV(ctx, "", "", w.name)
	if err != nil && len(records) == 0 {
		return dnsAnswer{}, err
	}
	a := dnsAnswer{set: []Endpoint{}, observers: []*dnsttl.Observer{observer}}
	if err != nil { // package net has left out records with malformed names
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
			e.Address = net.JoinHostPort(r.Target, strconv.Itoa(int(r.Port)))
			e.Metadata = map[string]string{MetadataHost: strings.TrimSuffix(r.Target, ".")}
			a.set = append(a.set, e)
		}
	} else {
		w.addTargets(ctx, &a, records)
	}
	if len(a.set) == 0 && a.err != nil {
		return dnsAnswer{}, a.err
	}
	return a, nil
}

// addTargets adds the addresses of the records' targets to an answer. If the addresses of
// a target cannot be determined, the last ones stay in use.
func (w *dnsWatch) addTargets(ctx context.Context, a *dnsAnswer, records []*net.SRV) {
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
		if isNotFound(err) { // the host has been removed before its SRV record
			w.hosts[targets[i]], missing = new(host), err
			continue
		}
		a.fail(err)
		answers[i].addrs = w.hosts[targets[i]].addrs()
	}
	for _, r := range records {
		i, _ := slices.BinarySearch(targets, r.Target)
		a.set = append(a.set, endpointsAt(answers[i].addrs, serviceEndpoint(r), r.Target, strconv.Itoa(int(r.Port)))...)
	}
	if len(a.set) == 0 {
		a.err = cmp.Or(a.err, missing)
	}
}

// serviceEndpoint returns the endpoint of a record without its address.
func serviceEndpoint(r *net.SRV) Endpoint {
	// RFC 2782 requires a very small probability for the weight 0. In its algorithm it is
	// 1 / (1 + the sum of all weights), as for the weight 1.
	return Endpoint{Weight: int(r.Weight), Priority: int(r.Priority)}
}

// lookupHosts looks up several hosts at the same time, and forgets the answers for all
// other hosts.
func (w *dnsWatch) lookupHosts(ctx context.Context, names []string) ([]hostAnswer, []error) {
	hosts := make(map[string]*host, len(names))
	answers, errs := make([]hostAnswer, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxLookups)
	for i, name := range names {
		h := cmp.Or(w.hosts[name], new(host))
		hosts[name] = h
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = h.lookup(ctx, w.dnsResolver, name)
		})
	}
	wg.Wait()
	w.hosts = hosts
	return answers, errs
}

// endpointsAt returns a copy of the template for each address of a host.
func endpointsAt(addrs []netip.Addr, template Endpoint, host, port string) []Endpoint {
	set := make([]Endpoint, len(addrs))
	metadata := map[string]string{MetadataHost: strings.TrimSuffix(host, ".")}
	for i, addr := range addrs {
		set[i] = template
		set[i].Address = net.JoinHostPort(addr.Unmap().String(), port)
		set[i].Metadata = metadata
	}
	return set
}
