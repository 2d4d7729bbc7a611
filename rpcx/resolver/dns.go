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
// an error. If server is not empty, it is the only name server that is queried, without a
// search list. Its form is host or host:port; the default port is 53. Errors contain the
// URL of the resolver, as for rpcx.Dial: dns://server/address.
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
// The address of an endpoint has the target's name, which net.Dial resolves. It ends with a
// dot, since a target is absolute (RFC 2782): the system's search list could make another
// name of it. If server is not empty, the addresses are the target's IP addresses instead,
// because other name servers may not know the target; a target that does not exist is left
// out. [MetadataHost] has the name without the dot, which TLS verifies.
//
// A record with the port 0 is left out and delivered as an error. If the only target is
// ".", the service has no servers: the set is empty, without an error. DNS answers are not
// authenticated, so the names of the targets are not, either: for TLS, see rpcx.Dialer's
// TLSConfig.
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
	r := &dnsResolver{url: scheme + "://" + server + "/" + name, family: "ip", server: server, dial: new(net.Dialer).DialContext}
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

// absolute returns the name to query. For a name server other than the system's it is
// absolute, because the search list is the system's.
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
	refresh, stop := r.refresh.watch()
	defer stop()
	return poll(ctx, deliver, refresh, func(ctx context.Context) ([]Endpoint, time.Duration, error) {
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

// wrap adds the URL of the resolver and the name server to an error. Package net does not
// know that name server.
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
