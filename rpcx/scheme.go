package rpcx

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"resilientrpc/rpcx/internal/hostport"
)

// resolverFor returns the resolver that an address with a scheme names, for
// endpoints of the given network:
//
//	dns:///calc.internal:1234      each address of the host
//	srv:///_rpc._tcp.calc          each server of the service
//	file:///etc/calc.replicas      each line of the file
//
// Names are looked up as net.Dial does: in the hosts file, and with the search list
// and ndots of resolv.conf. A DNS server may be named before the path, with its port
// unless that is 53, as in dns://10.0.0.53/calc.internal:1234; it alone is asked, and
// for the name as it stands. IPv4 and IPv6 addresses are asked for separately: if one
// of the two cannot be learned, the addresses that it had stay, with those of the
// other. The DNS is asked again when the TTL ends, after one second to five minutes,
// and every three seconds while all endpoints are down.
//
// With TLS, a server of srv:/// is verified as the target of its record, which is what
// the DNS says: see Dialer.TLSConfig. The name in dns:/// is the caller's.
//
// An address without a scheme has no resolver: nil.
func resolverFor(network, address string) (Resolver, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, nil //nolint:nilnil // said above
	}
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case "dns":
		return newHostResolver(network, u)
	case "srv":
		return newServiceResolver(network, u)
	case "file":
		return newFileResolver(network, u)
	}
	return nil, fmt.Errorf("rpcx: the address %q has the unknown scheme %q; use dns, srv or file, or the plain %q", address, scheme, rest)
}

func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rpcx: the address is no URL: %w", err)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("rpcx: the address %q has more than a scheme, a host and a path; escape @, ? and # in them as %%40, %%3F and %%23", address)
	}
	return u, nil
}

func newHostResolver(network string, u *url.URL) (Resolver, error) {
	r, err := newDNSResolver(network, u)
	if err != nil {
		return nil, err
	}
	r.name, r.port, err = net.SplitHostPort(r.name)
	if err != nil || r.name == "" || r.port == "" {
		return nil, fmt.Errorf("rpcx: the address %q does not end in a host and a port; write dns:///host:port", u)
	}
	if _, err := hostport.Port(r.port); err != nil {
		return nil, fmt.Errorf("rpcx: the address %q has %w", u, err)
	}
	r.name = r.absolute(r.name)
	return r, nil
}

func newServiceResolver(network string, u *url.URL) (Resolver, error) {
	r, err := newDNSResolver(network, u)
	if err != nil {
		return nil, err
	}
	if strings.Contains(r.name, ":") {
		return nil, fmt.Errorf("rpcx: the address %q has a port; leave it out, SRV records have it", u)
	}
	r.name = r.absolute(r.name)
	return r, nil
}

// newDNSResolver returns a resolver whose name is the path of u.
func newDNSResolver(network string, u *url.URL) (*dnsResolver, error) {
	r := &dnsResolver{url: u.String(), family: "ip", server: u.Host, name: strings.TrimPrefix(u.Path, "/"), dial: new(net.Dialer).DialContext, now: make(refreshes, 1)}
	switch {
	case isUnix(network):
		return nil, fmt.Errorf("rpcx: the address %q is for TCP, not for the network %q", u, network)
	case r.name == "" || strings.Contains(r.name, "/"):
		return nil, fmt.Errorf("rpcx: the address %q does not have one name after the server; write %s:///name", u, u.Scheme)
	case strings.HasSuffix(network, "4"):
		r.family = "ip4"
	case strings.HasSuffix(network, "6"):
		r.family = "ip6"
	}
	if r.server != "" && u.Port() == "" {
		r.server = net.JoinHostPort(u.Hostname(), "53")
	}
	return r, nil
}

// absolute returns the name as it is to be asked for: the search list is the
// system's and means nothing to another server.
func (r *dnsResolver) absolute(name string) string {
	if r.server == "" || strings.HasSuffix(name, ".") || net.ParseIP(name) != nil {
		return name
	}
	return name + "."
}

func newFileResolver(network string, u *url.URL) (Resolver, error) {
	path := u.Path
	if filepath.VolumeName(strings.TrimPrefix(path, "/")) != "" {
		path = path[1:] // file:///C:/replicas
	}
	switch {
	case u.Host != "" && u.Host != "localhost":
		return nil, fmt.Errorf("rpcx: the address %q names the host %q; write file:/// and the absolute path of a file on this one", u, u.Host)
	case strings.Trim(path, "/") == "":
		return nil, fmt.Errorf("rpcx: the address %q has no path; write file:///path", u)
	}
	return &fileResolver{network: network, path: filepath.FromSlash(path)}, nil
}
