package dialing

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"resilientrpc/rpcx/internal/rescue"
)

// localErrors are those with which connecting fails before a packet has left: no file
// descriptor, port, memory, route or permission. The last ones are Windows', which
// package syscall has under other numbers there.
var localErrors = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENETUNREACH, syscall.ENETDOWN,
	syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT,
	10013, // WSAEACCES
	10024, // WSAEMFILE
	10047, // WSAEAFNOSUPPORT
	10048, // WSAEADDRINUSE
	10049, // WSAEADDRNOTAVAIL
	10050, // WSAENETDOWN
	10051, // WSAENETUNREACH
	10055, // WSAENOBUFS
}

// IsLocal reports whether a dial failed for a reason on this side, which says nothing of
// the peer: the system refused, the context was cancelled, names are not resolved, or a
// function of the Dialer's does not work.
func IsLocal(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return slices.Contains(localErrors, errno)
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
