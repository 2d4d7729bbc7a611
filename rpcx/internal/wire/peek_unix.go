//go:build unix

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
		n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK)
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
