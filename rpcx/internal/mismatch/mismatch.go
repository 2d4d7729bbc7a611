// Package mismatch explains why a connection fails whose two ends do not speak the same
// protocol, and names the option to change. It judges by the first bytes that the two
// have sent, or by how the peer ends the connection if it sends none.
//
// Its functions hold no state and do no I/O, and it imports nothing but the standard
// library.
package mismatch

import (
	"errors"
	"io"
	"syscall"
)

// Error is a failure with its explanation.
type Error struct {
	// Explanation says what the peer is, and which option to change.
	Explanation string
	// Seen says that the peer has sent what proves it. Otherwise it has sent nothing, and
	// the explanation says what may be the reason.
	Seen bool
	// Instead says that the explanation is the whole text: that of the failure is of a
	// decoder that was given another protocol, and says nothing.
	Instead bool
	// Err is the failure itself.
	Err error
}

// Error returns the text of the failure, unless that says nothing, and the explanation.
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

// Temporary reports whether the failure says that it is temporary.
func (e *Error) Temporary() bool {
	var t interface{ Temporary() bool }
	return errors.As(e.Err, &t) && t.Temporary()
}

// hungUp reports whether a failure is the end of the connection that the peer brings, and
// is no more than that.
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
