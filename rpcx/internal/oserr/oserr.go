// Package oserr has error numbers of the operating system.
//
// Those of Windows' sockets begin with WSA: package syscall has the names without WSA there,
// too, with numbers that no system call returns. No number has two meanings, so that code may
// look for all of them on every system. The package holds no state, starts no goroutine, and
// imports nothing but the standard library.
package oserr

import (
	"errors"
	"syscall"
)

// The numbers of Windows' sockets.
const (
	WSAEACCES        syscall.Errno = 10013
	WSAEMFILE        syscall.Errno = 10024
	WSAEAFNOSUPPORT  syscall.Errno = 10047
	WSAEADDRINUSE    syscall.Errno = 10048
	WSAEADDRNOTAVAIL syscall.Errno = 10049
	WSAENETDOWN      syscall.Errno = 10050
	WSAENETUNREACH   syscall.Errno = 10051
	WSAECONNABORTED  syscall.Errno = 10053
	WSAENOBUFS       syscall.Errno = 10055
	WSAECONNREFUSED  syscall.Errno = 10061
)

// IsShortage reports whether an error is a lack of file descriptors, buffers or memory.
func IsShortage(err syscall.Errno) bool {
	switch err {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, WSAEMFILE, WSAENOBUFS:
		return true
	}
	return false
}

// IsAborted reports whether an error says that a connection has ended before it was accepted.
func IsAborted(err syscall.Errno) bool {
	return err == syscall.ECONNABORTED || err == WSAECONNABORTED
}

// IsRefused reports whether a peer's host has said that there is no listener: a process that is
// being restarted, to which it is no burden to be asked often.
func IsRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, WSAECONNREFUSED)
}
