// Package hostport checks addresses of TCP and UDP before they are used: a malformed one
// in a list of many would only be a replica that is never reached. It imports the
// standard library only.
package hostport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Canonical returns the canonical form of an address, by which two addresses can be
// compared: the host in lower case and without a last dot, an IP address as package netip
// writes it, and the port as a number. If net.Dial could not use the address, the error
// says what to change. The host may be empty, which is this machine. Names of hosts are
// not looked up. An address of another network than TCP and UDP may have any form, and is
// returned as it is.
func Canonical(network, address string) (string, error) {
	if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
		return address, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", fmt.Errorf("the address %q is not of the form host:port", address)
	}
	if i := strings.IndexFunc(host, isStray); i >= 0 || !utf8.ValidString(host) {
		return "", fmt.Errorf("the address %q has a character that no host has; remove it", address)
	}
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return "", fmt.Errorf("the address %q has no IPv6 address in its brackets", address)
		}
		host = ip.Unmap().String()
	}
	number, err := Port(port)
	if err != nil {
		return "", fmt.Errorf("the address %q has %w", address, err)
	}
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(host), "."), strconv.Itoa(number)), nil
}

// isStray reports whether a character is in a host by mistake: a space, a byte order mark
// or another invisible character, or a separator of addresses.
func isStray(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(",;#/", r)
}

// Port returns the number of a port, which may be given as the name of a service.
func Port(port string) (int, error) {
	digits := strings.TrimLeft(port, "+-")
	if strings.Trim(digits, "0123456789") != "" {
		number, err := net.LookupPort("tcp", port)
		if err != nil || number == 0 {
			return 0, fmt.Errorf("the port %q, which is no number and no service that this machine knows", port)
		}
		return number, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("the port %q; want a number from 1 to 65535", port)
	}
	return int(number), nil
}
