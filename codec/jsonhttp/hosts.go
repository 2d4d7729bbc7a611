package jsonhttp

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// serves reports whether a request names a host that is served; see Handler.Hosts.
// HTTP/1.0 needs none, and no browser speaks it.
func (h *Handler) serves(r *http.Request) bool {
	host := hostName(r.Host)
	switch {
	case host == "", host == "localhost", isIP(host):
		return true
	case len(h.Hosts) == 0:
		return !isLoopback(r)
	}
	for _, name := range h.Hosts {
		if strings.EqualFold(strings.TrimSuffix(name, "."), host) {
			return true
		}
	}
	return false
}

// hostName takes the port off a Host header, and the root's dot.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isIP reports whether a host is an address, which no page can have made its own.
func isIP(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// isLoopback reports whether a request has come to a loopback address.
func isLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}
