package debugpage

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isRebound reports whether a request to a loopback address is for another host's name: a web
// page has made its own name one of this machine, and reads what only this machine's users may
// (DNS rebinding). jsonhttp.Handler has the same rule; package codec may not import this one.
func isRebound(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "" && host != "localhost"
}
