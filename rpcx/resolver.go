package rpcx

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
// is empty, if two endpoints have the same address, or if an address cannot be one of the
// network.
func Static(endpoints ...Endpoint) Resolver { return resolver.Static(slices.Clone(endpoints)) }

// resolverFor returns the resolver for an address with a scheme, or nil for an address
// without one:
//
//	dns:///calc.internal:1234      each address of the host: resolver.DNS
//	srv:///_rpc._tcp.calc          each server of the service: resolver.SRV
//	file:///etc/calc.replicas      each line of the file: resolver.File
//
// A name server may stand before the path, as in dns://10.0.0.53/calc.internal:1234.
func resolverFor(network, address string) (Resolver, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, nil //nolint:nilnil // said above
	}
	if strings.Contains(rest, "://") || scheme != "file" && !isUnix(network) && strings.Contains(address, ",") {
		return nil, listedURL(address)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rpcx: the address is no URL: %w", err)
	case u.Scheme != "dns" && u.Scheme != "srv" && u.Scheme != "file":
		return nil, unknownScheme(network, u)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("rpcx: the address %q has more than a scheme, a host and a path; escape @, ? and # in them as %%40, %%3F and %%23", address)
	}
	switch name := strings.TrimPrefix(u.Path, "/"); u.Scheme {
	case "dns":
		return resolver.DNS(network, name, u.Host)
	case "srv":
		return resolver.SRV(network, name, u.Host)
	}
	return fileResolverFor(network, u)
}

// unknownScheme is the error of an address with a scheme that stands for no resolver.
func unknownScheme(network string, u *url.URL) error {
	http := u.Scheme == "http" || u.Scheme == "https"
	plain := "a plain host:port"
	switch {
	case isUnix(network):
		plain = fmt.Sprintf("the plain path %q", u.Host+u.Path)
	case u.Port() != "" && (http || strings.Trim(u.Path, "/") == ""): // else it names no server
		plain = fmt.Sprintf("the plain %q", u.Host)
	}
	if http {
		return fmt.Errorf("rpcx: the address %q is a URL of HTTP; use %s: for JSON-RPC over HTTP see package codec/jsonhttp; "+
			"for net/rpc over HTTP use DialHTTPPath or Dialer.HTTPPath", u.Redacted(), plain)
	}
	return fmt.Errorf("rpcx: the address %q has the unknown scheme %q; use dns, srv or file, or %s", u.Redacted(), u.Scheme, plain)
}

// listedURL is the error of a list that has a URL in it.
func listedURL(address string) error {
	return fmt.Errorf("rpcx: the address %q has a URL in a list; dial a URL alone, or list addresses of the form host:port", address)
}

func fileResolverFor(network string, u *url.URL) (Resolver, error) {
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
	return resolver.File(network, filepath.FromSlash(path)), nil
}

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
	c.notePanic(err)
	if err == nil {
		err = errors.New("it does not say why")
	}
	send(delivery{err: fmt.Errorf("rpcx: the resolver has given up: %w", err), last: true})
}

// watchSet is the resolver's Watch, whose panic is an error.
func watchSet(ctx context.Context, r Resolver, deliver func([]Endpoint, error)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("Resolver", p)
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
			err := fmt.Errorf("rpcx: the resolver has named no endpoints: %w", contextError(ctx))
			if last != nil {
				err = &lastError{err, last}
			}
			return err
		}
	}
}
