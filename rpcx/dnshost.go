package rpcx

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

// familyGrace is how long the addresses of one family wait for the answer of the
// other: far longer than a name server takes that answers at all.
const familyGrace = time.Second

// families are the kinds of addresses, each with a question of its own.
var families = [...]struct {
	network string // of net.Resolver.LookupNetIP
	kind    uint16
}{{"ip4", dnsttl.TypeA}, {"ip6", dnsttl.TypeAAAA}}

// A host is a name with the addresses of its last good answers. A family that cannot
// be learned keeps those that it has, which may be none: a name server that never
// answers questions for AAAA records, or a firewall that drops them, must not make a
// good answer to the one for A records worthless, and an answer that is missing once
// must not make endpoints vanish.
type host struct {
	known [len(families)][]netip.Addr
}

// A hostAnswer is what a lookup has learned of a host.
type hostAnswer struct {
	addrs    []netip.Addr
	observer *dnsttl.Observer
	failed   bool  // a family could not be learned
	err      error // why, if the family has addresses, which may not be right any more
}

// A familyAnswer is what it has learned of one family.
type familyAnswer struct {
	addrs []netip.Addr
	names []string // asked for; the last one has the addresses
	err   error
}

// lookup looks up the addresses. If those of no family can be learned it fails, and
// nothing is changed.
func (h *host) lookup(ctx context.Context, r *dnsResolver, name string) (hostAnswer, error) {
	resolver, observer := dnsttl.Resolver(r.connect)
	answers := askFamilies(ctx, resolver, r.family, name)
	var found []string // the names up to the first that has addresses
	for i := range answers {
		a := &answers[i]
		a.names = observer.Asked(families[i].kind)
		if len(a.addrs) > 0 && (found == nil || len(a.names) < len(found)) {
			found = append([]string{}, a.names...)
		}
	}
	answer := hostAnswer{observer: observer}
	if found == nil {
		return answer, anyError(answers[:])
	}
	for i, a := range answers {
		switch {
		case len(a.addrs) > 0 && len(a.names) == len(found):
			h.known[i] = a.addrs
		case a.err == nil || isNone(a.err):
			h.known[i] = nil // it has addresses of another name at most
		case precedes(a.names, found, observer):
			return answer, a.err
		default:
			answer.failed = true
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

// precedes reports whether a lookup that failed did so at a name of the search list
// before the one that was found, and which may exist.
func precedes(failed, found []string, observer *dnsttl.Observer) bool {
	if len(found) == 0 {
		return false // in the hosts file
	}
	before := found[:len(found)-1]
	before = before[min(max(len(failed)-1, 0), len(before)):]
	return slices.ContainsFunc(before, func(name string) bool { return !observer.NoSuchName(name) })
}

// askFamilies looks up a name for each family of the network, "ip" or one of them, at
// the same time.
func askFamilies(ctx context.Context, resolver *net.Resolver, network, name string) (answers [len(families)]familyAnswer) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type indexed struct {
		i int
		familyAnswer
	}
	ends, pending := make(chan indexed, len(families)), 0
	for i, family := range families {
		if network != "ip" && network != family.network {
			continue
		}
		pending++
		go func() {
			addrs, err := resolver.LookupNetIP(ctx, family.network, name)
			ends <- indexed{i, familyAnswer{addrs: addrs, err: err}}
		}()
	}
	grace := time.NewTimer(familyGrace)
	defer grace.Stop()
	grace.Stop()
	late := &net.DNSError{Err: fmt.Sprintf("no answer %v after that of the other family", familyGrace), Name: name, IsTimeout: true}
	for pending > 0 {
		select {
		case a := <-ends:
			pending--
			if a.err != nil && errors.Is(context.Cause(ctx), late) {
				a.err = late
			}
			if answers[a.i] = a.familyAnswer; len(a.addrs) > 0 {
				grace.Reset(familyGrace)
			}
		case <-grace.C:
			cancel(late)
		}
	}
	return answers
}

// anyError returns the error that says the most: that a family could not be learned,
// or else that the name does not exist, or else that it has addresses of another family.
func anyError(answers []familyAnswer) (err error) {
	says := func(err error) int {
		switch {
		case err == nil:
			return 0
		case !isNone(err):
			return 3
		case isNotFound(err):
			return 2
		}
		return 1
	}
	for _, a := range answers {
		if says(a.err) > says(err) {
			err = a.err
		}
	}
	return err
}

// isNone reports whether a name has been answered for, and has no addresses.
func isNone(err error) bool {
	var e *net.AddrError // it has, of the other family
	return isNotFound(err) || errors.As(err, &e)
}

func isNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}
