package jsonhttp

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// serves reports whether the request's host is served; see Handler.Hosts. A request
// without a host is HTTP/1.0, which browsers do not use.
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

// hostName returns a Host header without the port and a trailing dot, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isIP reports whether a host is an IP address. DNS rebinding needs a name.
func isIP(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// isLoopback reports whether a request has come to a loopback address.
func isLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}
