//go:build unix && !aix

package wire

import (
	"errors"
	"io"
	"syscall"
)

// recvPeek looks at what has come on a socket, without a wait. Data says that there is
// something; an error that the connection has ended, in order with io.EOF.
func recvPeek(fd int) (data bool, err error) {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case err != nil:
			return false, err
		case n == 0:
			return false, io.EOF
		}
		return true, nil
	}
}

const canPeek = true

// unblock makes a socket a nonblocking one, as package net needs it for deadlines and Close.
// Its owner may have made it blocking unawares: the Fd of a duplicate that File has returned does.
func unblock(fd int) {
	syscall.SetNonblock(fd, true) //nolint:errcheck // then it is used as it is
}
