// Package mismatch explains the failure of a connection if client and server do not speak
// the same protocol, and names the option to change. It recognizes protocols by the first
// bytes in each direction or, if the peer sends none, by how the peer closes the
// connection.
//
// It has no state, does no I/O, and imports only the standard library.
package mismatch

import (
	"errors"
	"io"
	"syscall"
)

// Error is a failure with its explanation.
type Error struct {
	// Explanation says what the peer speaks, and which option to change.
	Explanation string
	// Seen says that bytes from the peer prove the explanation. Otherwise the peer has
	// sent nothing, and the explanation is only possible.
	Seen bool
	// Instead says that the explanation replaces the text of the failure, which is that of a
	// decoder that was given another protocol.
	Instead bool
	// Err is the failure.
	Err error
}

// Error returns the text of the failure, unless the explanation replaces it, and the
// explanation.
func (e *Error) Error() string {
	if e.Instead {
		return e.Explanation
	}
	return e.Err.Error() + "; " + e.Explanation
}

// Unwrap returns the failure.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the failure is a timeout.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary reports whether the failure is temporary, by its own method of this name.
func (e *Error) Temporary() bool {
	var t interface{ Temporary() bool }
	return errors.As(e.Err, &t) && t.Temporary()
}

// hungUp reports whether a failure means that the peer has closed the connection.
func hungUp(err error) bool {
	for _, end := range [...]error{
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE,
		syscall.Errno(10053), syscall.Errno(10054), // Windows' WSAECONNABORTED and WSAECONNRESET
	} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
