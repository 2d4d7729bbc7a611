//go:build unix

package rpcx_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// block makes a socket a blocking one, as programs do unawares that set its options through
// File and Fd.
func block(t *testing.T, conn net.Conn) {
	f, err := conn.(*net.TCPConn).File()
	require.NoError(t, err)
	defer f.Close()
	f.Fd()
}

// Calls, their contexts and Close work over a connection that was made blocking before the
// client had it.
func TestBlockingSocket(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(t *testing.T, addr string) *rpcx.Client{
		"NetDial": func(t *testing.T, addr string) *rpcx.Client {
			d := rpcx.Dialer{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err == nil {
					block(t, conn)
				}
				return conn, err
			}}
			c, err := d.Dial("tcp", addr)
			require.NoError(t, err)
			return c
		},
		"NewClient": func(t *testing.T, addr string) *rpcx.Client {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			block(t, conn)
			return rpcx.NewClient(conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, net.JoinHostPort("127.0.0.1", serveBank(t)))
			require.NoError(t, within(10*time.Second, func() error {
				for range 20 { // until the caller reads
					if err := c.Call("Bank.Where", struct{}{}, new(string)); err != nil {
						return err
					}
				}
				time.Sleep(3 * time.Millisecond) // so that the connection is idle, and peeked at
				return c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
			}))
			require.ErrorIs(t, within(10*time.Second, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				return c.CallContext(ctx, "Bank.Sleep", 500*time.Millisecond, new(string))
			}), context.DeadlineExceeded)
			require.NoError(t, within(10*time.Second, c.Close))
		})
	}
}
