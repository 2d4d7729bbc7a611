package dialing

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"resilientrpc/rpcx/internal/oserr"
	"resilientrpc/rpcx/internal/rescue"
)

// localErrors are those with which connecting fails before a packet has left, besides
// shortages: no port, route or permission.
var localErrors = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENETUNREACH, syscall.ENETDOWN,
	syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT,
	oserr.WSAEADDRNOTAVAIL, oserr.WSAEADDRINUSE, oserr.WSAENETUNREACH, oserr.WSAENETDOWN,
	oserr.WSAEACCES, oserr.WSAEAFNOSUPPORT,
}

// IsLocal reports whether a dial failed for a reason on this side, which says nothing of
// the peer: the system refused, the context was cancelled, names are not resolved, or a
// function of the Dialer's does not work.
func IsLocal(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return oserr.IsShortage(errno) || slices.Contains(localErrors, errno)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	var function *rescue.Error
	if errors.As(err, &function) {
		return true
	}
	return errors.Is(err, context.Canceled)
}
