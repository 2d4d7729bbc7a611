package rpcx

import (
	"errors"
	"fmt"
	"strings"

	"resilientrpc/rpcx/internal/hostport"
)

// splitAddresses returns the endpoints that a list names, each of which may be a
// comma-separated list itself, unless it is the path of a Unix socket.
func splitAddresses(network string, addresses []string) ([]Endpoint, error) {
	var out []Endpoint
	paths := isUnix(network)
	for _, list := range addresses {
		entries := []string{list}
		if !paths {
			entries = strings.Split(list, ",")
		}
		for _, a := range entries {
			if !paths {
				a = strings.TrimSpace(a)
			}
			if a == "" && (len(addresses) > 1 || list != "") {
				return nil, fmt.Errorf("rpcx: the address list %q has an empty entry; remove the stray comma", list)
			}
			out = append(out, Endpoint{Address: a})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("rpcx: no address given; name at least one, or set Dialer.Resolver")
	}
	return out, nil
}

// checkAddresses returns why a set can never be right. The form of an address is
// checked if net.Dial is what it is for.
func (d *Dialer) checkAddresses(network string, set []Endpoint) error {
	seen := make(map[string]string, len(set))
	for _, e := range set {
		if e.Address == "" {
			return errors.New("rpcx: an address is empty; write the one of a replica")
		}
		canonical, err := canonicalAddress(network, e.Address)
		switch {
		case err == nil:
		case d.NetDial == nil:
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

// canonicalAddress returns the one way to write an address, so that two can be
// compared, and an error if it is none of the network. That of another network than TCP
// and UDP may have any form.
func canonicalAddress(network, address string) (string, error) {
	if strings.HasPrefix(network, "tcp") || strings.HasPrefix(network, "udp") {
		return hostport.Canonical(address)
	}
	return address, nil
}

func isUnix(network string) bool { return strings.HasPrefix(network, "unix") }
