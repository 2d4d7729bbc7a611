package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"resilientrpc/rpcx/internal/dnsttl"
)

// familyGrace bounds the wait for the addresses of one family after the other family has
// answered. It is much longer than a name server needs if it answers at all.
const familyGrace = time.Second

// families are the address families. Each needs a query of its own.
var families = [...]struct {
	network string // of net.Resolver.LookupNetIP
	kind    uint16
}{{"ip4", dnsttl.TypeA}, {"ip6", dnsttl.TypeAAAA}}

// A host is a name with the addresses of its last good answers.
//
// If the query for a family fails, the family keeps its last addresses, which may be
// none. So a name server that never answers AAAA queries, or a firewall that drops them,
// does not invalidate the answer to the A query, and an answer that is missing once does
// not remove endpoints.
type host struct {
	known [len(families)][]netip.Addr
}

// A hostAnswer is the result of looking up a host.
type hostAnswer struct {
	addrs      []netip.Addr
	observer   *dnsttl.Observer
	incomplete bool  // the query for a family has failed
	err        error // the error of that query, if the family keeps addresses, maybe outdated
}

// A familyAnswer is the result of looking up one family of a host.
type familyAnswer struct {
	addrs []netip.Addr
	names []string // queried in this order; the addresses are those of the last one
	err   error
}

// lookup looks up the addresses of the host. If the queries for all families fail, it
// returns an error and changes nothing.
func (h *host) lookup(ctx context.Context, r *dnsResolver, name string) (hostAnswer, error) {
	resolver, observer := dnsttl.Resolver(r.connect)
	answers := lookupFamilies(ctx, resolver, r.family, name)
	var found []string // the names up to the first one that has addresses
	for i := range answers {
		a := &answers[i]
		a.names = observer.Asked(families[i].kind)
		if len(a.addrs) > 0 && (found == nil || len(a.names) < len(found)) {
			found = append([]string{}, a.names...)
		}
	}
	answer := hostAnswer{observer: observer}
	if found == nil {
		return answer, mostSpecificError(answers[:])
	}
	for i, a := range answers {
		switch {
		case len(a.addrs) > 0 && len(a.names) == len(found):
			h.known[i] = a.addrs
		case a.err == nil || hasNoAddresses(a.err):
			h.known[i] = nil // any addresses are those of another name of the search list
		case failedEarlier(a.names, found, observer):
			return answer, a.err
		default:
			answer.incomplete = true
			if len(h.known[i]) > 0 {
				answer.err = a.err
			}
		}
	}
	answer.addrs = h.addrs()
	return answer, nil
}

// addrs returns the addresses of all families.
func (h *host) addrs() []netip.Addr { return slices.Concat(h.known[:]...) }

// failedEarlier reports whether a failed look-up ended at a name of the search list that
// comes before the name that was found, and that may exist. Then the addresses that were
// found may be those of another host.
func failedEarlier(failed, found []string, observer *dnsttl.Observer) bool {
	if len(found) == 0 {
		return false // it was found in the hosts file
	}
	before := found[:len(found)-1]
	before = before[min(max(len(failed)-1, 0), len(before)):]
	return slices.ContainsFunc(before, func(name string) bool { return !observer.NoSuchName(name) })
}

// lookupFamilies looks up a name in each family of the network, which is "ip", "ip4" or
// "ip6", at the same time.
func lookupFamilies(ctx context.Context, resolver *net.Resolver, network, name string) (answers [len(families)]familyAnswer) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type indexed struct {
		i int
		familyAnswer
	}
	results, pending := make(chan indexed, len(families)), 0
	for i, family := range families {
		if network != "ip" && network != family.network {
			continue
		}
		pending++
		go func() {
			addrs, err := resolver.LookupNetIP(ctx, family.network, name)
			results <- indexed{i, familyAnswer{addrs: addrs, err: err}}
		}()
	}
	grace := time.NewTimer(familyGrace)
	defer grace.Stop()
	grace.Stop()
	late := &net.DNSError{Err: fmt.Sprintf("no answer %v after that of the other family", familyGrace), Name: name, IsTimeout: true}
	for pending > 0 {
		select {
		case r := <-results:
			pending--
			if r.err != nil && errors.Is(context.Cause(ctx), late) {
				r.err = late
			}
			if answers[r.i] = r.familyAnswer; len(r.addrs) > 0 {
				grace.Reset(familyGrace)
			}
		case <-grace.C:
			cancel(late)
		}
	}
	return answers
}

// mostSpecificError returns the most important error. The order is: a query has failed,
// the name does not exist, the name has no addresses of a family.
func mostSpecificError(answers []familyAnswer) (err error) {
	rank := func(err error) int {
		switch {
		case err == nil:
			return 0
		case !hasNoAddresses(err):
			return 3
		case isNotFound(err):
			return 2
		}
		return 1
	}
	for _, a := range answers {
		if rank(a.err) > rank(err) {
			err = a.err
		}
	}
	return err
}

// hasNoAddresses reports whether an error means that a name does not exist or has no
// addresses of the family.
func hasNoAddresses(err error) bool {
	var e *net.AddrError // the name has addresses of the other family only
	return isNotFound(err) || errors.As(err, &e)
}

func isNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}
