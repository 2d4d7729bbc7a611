package dialing

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"resilientrpc/rpcx/resolver"
)

// Resolver returns the resolver for an address with a scheme, or nil for an address
// without one:
//
//	dns:///calc.internal:1234      each address of the host: resolver.DNS
//	srv:///_rpc._tcp.calc          each server of the service: resolver.SRV
//	file:///etc/calc.replicas      each line of the file: resolver.File
//
// A name server may stand before the path, as in dns://10.0.0.53/calc.internal:1234.
func Resolver(network, address string) (resolver.Resolver, error) {
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
	return fileResolver(network, u)
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

func fileResolver(network string, u *url.URL) (resolver.Resolver, error) {
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
