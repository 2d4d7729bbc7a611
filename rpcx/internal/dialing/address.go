package dialing

import (
	"errors"
	"fmt"
	"strings"

	"resilientrpc/rpcx/internal/hostport"
	"resilientrpc/rpcx/resolver"
)

// Split returns the endpoints of a list of addresses, each of which may be a
// comma-separated list itself, unless it is the path of a Unix socket.
func Split(network string, addresses []string) ([]resolver.Endpoint, error) {
	var out []resolver.Endpoint
	paths := isUnix(network)
	for _, list := range addresses {
		switch {
		case strings.TrimSpace(list) != "":
		case paths:
			return nil, errors.New("rpcx: the address is empty; write the path of a socket")
		default:
			return nil, errors.New("rpcx: the address is empty; write host:port")
		}
		entries := []string{list}
		if !paths {
			entries = strings.Split(list, ",")
		}
		for _, a := range entries {
			if !paths {
				a = strings.TrimSpace(a)
			}
			if a == "" {
				return nil, fmt.Errorf("rpcx: the address list %q has an empty entry; remove the stray comma", list)
			}
			out = append(out, resolver.Endpoint{Address: a})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("rpcx: no address given; name at least one, or set Dialer.Resolver")
	}
	return out, nil
}

// Check returns an error if a set can never be valid. It checks the form of an address
// only if that is dialed with [NetDial], and not with a function of the user's.
func Check(network string, set []resolver.Endpoint, netDial bool) error {
	seen := make(map[string]string, len(set))
	for _, e := range set {
		if e.Address == "" {
			return errors.New("rpcx: an address is empty; write the one of a replica")
		}
		canonical, err := hostport.Canonical(network, e.Address)
		switch {
		case err == nil:
		case netDial && strings.Contains(e.Address, "://"):
			return listedURL(e.Address)
		case netDial:
			return fmt.Errorf("rpcx: %w", err)
		default:
			canonical = e.Address
		}
		switch first, twice := seen[canonical]; {
		case !twice:
			seen[canonical] = e.Address
		case first == e.Address:
			return fmt.Errorf("rpcx: the address %q is listed twice; name each replica once", first)
		default:
			return fmt.Errorf("rpcx: the addresses %q and %q are the same; name each replica once", first, e.Address)
		}
	}
	return nil
}

func isUnix(network string) bool { return strings.HasPrefix(network, "unix") }
