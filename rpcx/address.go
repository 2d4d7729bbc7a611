package rpcx

import (
	"errors"
	"fmt"
	"strings"
)

// splitAddresses returns the endpoints that a list names, each of which may be a
// comma-separated list itself, unless it is the path of a Unix socket.
func splitAddresses(network string, addresses []string) ([]Endpoint, error) {
	var out []Endpoint
	seen := make(map[string]bool)
	paths := strings.HasPrefix(network, "unix")
	for _, list := range addresses {
		entries := []string{list}
		if !paths {
			entries = strings.Split(list, ",")
		}
		for _, a := range entries {
			if !paths {
				a = strings.TrimSpace(a)
			}
			switch {
			case a == "" && len(addresses) == 1 && list == "":
				// net.Dial's own error for an empty address says it best.
			case a == "":
				return nil, fmt.Errorf("rpcx: the address list %q has an empty entry; remove the stray comma", list)
			case seen[a]:
				return nil, fmt.Errorf("rpcx: the address %q is listed twice; name each replica once", a)
			}
			seen[a] = true
			out = append(out, Endpoint{Address: a})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("rpcx: no address given; name at least one, or set Dialer.Resolver")
	}
	return out, nil
}
