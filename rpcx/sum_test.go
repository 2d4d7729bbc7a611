package rpcx

import (
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sum is a service for tests inside of the package.
type Sum struct{}

// Of adds.
func (Sum) Of(args [2]int, sum *int) error {
	*sum = args[0] + args[1]
	return nil
}

// serve serves Sum on the connections of ln until it is closed.
func serve(ln net.Listener) {
	s := rpc.NewServer()
	s.Register(Sum{}) //nolint:errcheck // it is fit
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(conn)
		}
	}()
}

// serveTCP serves Sum on loopback until the test is over, and returns the address.
func serveTCP(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	serve(ln)
	return ln.Addr().String()
}
