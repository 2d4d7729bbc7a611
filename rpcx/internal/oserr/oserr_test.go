package oserr

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsRefused(t *testing.T) {
	for _, number := range []syscall.Errno{syscall.ECONNREFUSED, WSAECONNREFUSED} {
		require.True(t, IsRefused(number))
		require.True(t, IsRefused(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", number)}))
	}
	for _, err := range []error{nil, io.EOF, syscall.ECONNRESET, WSAECONNABORTED, syscall.ETIMEDOUT} {
		require.False(t, IsRefused(err), "%v", err)
	}
}
