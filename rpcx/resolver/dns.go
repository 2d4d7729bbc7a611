package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/rpcx/internal/hostport"
)

const (
	defaultPort = "53"
	// firstRetry and maxRetry bound the pause after a failure, which doubles each time.
	firstRetry = time.Second
	maxRetry   = time.Minute
)

// DNS returns a resolver of the addresses of a host (RFC 1035, RFC 3596).
//
// The address has the form host:port, as in net.Dial, and the port may be the name of a
// service. The network is that of the endpoints: one that ends in "4" selects IPv4
// addresses, one that ends in "6" IPv6 addresses, and any other both. Unix networks are
// refused. If server is not empty, it is the only name server that is queried, for the
// host without a search list; it is host or host:port, where the port defaults to 53.
// Errors name the resolver by the URL that rpcx.Dial takes, dns://server/address.
//
// Names are looked up as net.Dial does: in the hosts file, and with the search list and
// ndots of resolv.conf. IPv4 and IPv6 addresses are queried separately: if one of the two
// queries fails, the addresses of its last answer stay in the set. DNS is queried again
// when the TTL ends, after one second to five minutes; after a failure, with pauses that
// grow from about one second to one minute; and on Refresh.
func DNS(network, address, server string) (Refresher, error) {
	r, err := newDNS("dns", network, address, server)
	if err != nil {
		return nil, err
	}
	r.name, r.port, err = net.SplitHostPort(address)
	if err != nil || r.name == "" || r.port == "" {
		return nil, fmt.Errorf("rpcx: the address %q does not end in a host and a port; write dns:///host:port", r.url)
	}
	if _, err := hostport.Port(r.port); err != nil {
		return nil, fmt.Errorf("rpcx: the address %q has %w", r.url, err)
	}
	r.name = r.absolute(r.name)
	return r, nil
}

// SRV returns a resolver of the servers of a service (RFC 2782), such as _rpc._tcp.calc,
// with their priorities and weights. Network and server are as for [DNS], as are the
// look-ups; the URL in errors is srv://server/name.
//
// The address of an endpoint has the target's name, which net.Dial resolves and a
// certificate shows. If server is not empty, the addresses are the target's IP addresses
// instead, because other name servers may not know the target, and [MetadataHost] has its
// name; a target that does not exist is left out. A record with the port 0 is left out and
// delivered as an error. A service whose only target is "." has no servers: an empty set,
// not an error. DNS answers are not authenticated, and so neither are the names of the
// targets: with TLS, see rpcx.Dialer's TLSConfig.
func SRV(network, name, server string) (Refresher, error) {
	r, err := newDNS("srv", network, name, server)
	if err != nil {
		return nil, err
	}
	if strings.Contains(name, ":") {
		return nil, fmt.Errorf("rpcx: the address %q has a port; leave it out, SRV records have it", r.url)
	}
	r.name = r.absolute(name)
	return r, nil
}

// dnsResolver queries DNS with the resolver of package net.
type dnsResolver struct {
	url     string // for errors
	family  string // "ip", "ip4" or "ip6"
	server  string // the only one queried; empty for the system's
	name    string // absolute if there is a server
	port    string // of every address; empty for a service
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	refresh refreshRequests
}

// newDNS returns a resolver without its name and port.
func newDNS(scheme, network, name, server string) (*dnsResolver, error) {
	form := "srv:///name"
	if scheme == "dns" {
		form = "dns:///host:port"
	}
	r := &dnsResolver{url: scheme + "://" + server + "/" + name, family: "ip", server: server, dial: new(net.Dialer).DialContext, refresh: make(refreshRequests, 1)}
	switch {
	case strings.HasPrefix(network, "unix"):
		return nil, fmt.Errorf("rpcx: the address %q is for TCP, not for the network %q", r.url, network)
	case name == "" || strings.Contains(name, "/"):
		return nil, fmt.Errorf("rpcx: the address %q does not have one name after the server; write %s", r.url, form)
	case strings.HasSuffix(network, "4"):
		r.family = "ip4"
	case strings.HasSuffix(network, "6"):
		r.family = "ip6"
	}
	if u := (&url.URL{Host: server}); server != "" && u.Port() == "" {
		r.server = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	return r, nil
}

// absolute returns the name to query: the search list belongs to the system, so the name
// is absolute for any other name server.
func (r *dnsResolver) absolute(name string) string {
	if r.server == "" || strings.HasSuffix(name, ".") || net.ParseIP(name) != nil {
		return name
	}
	return name + "."
}

// Refresh implements Refresher.
func (r *dnsResolver) Refresh() { r.refresh.request() }

// Watch implements Resolver.
func (r *dnsResolver) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0))
	w := &dnsWatch{dnsResolver: r}
	return poll(ctx, deliver, r.refresh, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
		a, err := w.lookup(ctx)
		if err != nil {
			return nil, retry.NextBackOff(), r.wrap(err)
		}
		wait := a.lifetime()
		if a.incomplete {
			wait = min(wait, retry.NextBackOff())
		} else {
			retry.Reset()
		}
		return a.set, wait, r.wrap(a.err)
	})
}

// wrap adds to an error what could not be resolved, and the name server that was queried,
// which package net does not know.
func (r *dnsResolver) wrap(err error) error {
	if err == nil {
		return nil
	}
	var e *net.DNSError
	if r.server != "" && errors.As(err, &e) {
		queried := *e
		queried.Server = r.server
		err = &queried
	}
	return fmt.Errorf("rpcx: resolve %s: %w", r.url, err)
}

// connect connects to the resolver's own name server, if it has one, in place of the
// system's.
func (r *dnsResolver) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if r.server != "" {
		address = r.server
	}
	return r.dial(ctx, network, address)
}
