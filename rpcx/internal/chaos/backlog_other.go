//go:build !linux

package chaos

import (
	"io"
	"net"
)

// FullBacklog listens at addr and accepts nothing.
func FullBacklog(addr string) (io.Closer, error) { return net.Listen("tcp", addr) }
