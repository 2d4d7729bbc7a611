//go:build !linux

package chaos

import (
	"io"
	"net"
)

// fullBacklog listens at addr and accepts nothing.
func fullBacklog(addr string) (io.Closer, error) { return net.Listen("tcp", addr) }
