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
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rpcx: the address is no URL: %w", err)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("rpcx: the address %q has more than a scheme, a host and a path; escape @, ? and # in them as %%40, %%3F and %%23", address)
	}
	switch name := strings.TrimPrefix(u.Path, "/"); scheme {
	case "dns":
		return resolver.DNS(network, name, u.Host)
	case "srv":
		return resolver.SRV(network, name, u.Host)
	case "file":
		return fileResolver(network, u)
	}
	return nil, fmt.Errorf("rpcx: the address %q has the unknown scheme %q; use dns, srv or file, or the plain %q", address, scheme, rest)
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
