package simnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

const addr = "a:1"

// inBubble runs f in virtual time with a network of its own.
func inBubble(t *testing.T, f func(t *testing.T, n *simnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		f(t, n)
	})
}

// connect listens at addr and returns both ends of a connection to it.
func connect(t *testing.T, n *simnet.Network) (client, server *simnet.Conn) {
	t.Helper()
	ln := n.Listen(addr)
	c, err := n.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	s, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close(); c.Close(); s.Close() })
	return c.(*simnet.Conn), s.(*simnet.Conn)
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	n, err := c.Write([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// silent requires that nothing can be read from c for an hour.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	n, err := c.Read(make([]byte, 1))
	require.Zero(t, n)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

// operr requires err to be what package net would return: an OpError of op.
func operr(t *testing.T, err error, op string, target error) {
	t.Helper()
	var e *net.OpError
	require.ErrorAs(t, err, &e)
	require.Equal(t, op, e.Op)
	require.ErrorIs(t, err, target)
}

func TestDial(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			_, err := n.DialContext(t.Context(), "tcp", addr)
			operr(t, err, "dial", syscall.ECONNREFUSED)
			require.Equal(t, "dial tcp a:1: connect: connection refused", err.Error())
		})
	})
	t.Run("takes a round trip", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			n.Delay(addr, 20*time.Millisecond)
			start := time.Now()
			connect(t, n)
			require.Equal(t, 40*time.Millisecond, time.Since(start))
		})
	})
	t.Run("context ends on the way back", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			ln := n.Listen(addr)
			n.Delay(addr, 20*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			_, err := n.DialContext(ctx, "tcp", addr)
			operr(t, err, "dial", context.DeadlineExceeded)
			require.True(t, err.(net.Error).Timeout())
			s, err := ln.Accept()
			require.NoError(t, err)
			_, err = s.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		})
	})
	t.Run("full backlog hangs until there is room", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			n.Backlog = 1
			ln := n.Listen(addr)
			_, err := n.DialContext(t.Context(), "tcp", addr)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = n.DialContext(ctx, "tcp", addr)
			operr(t, err, "dial", context.DeadlineExceeded)

			done := make(chan error)
			go func() {
				_, err := n.DialContext(t.Context(), "tcp", addr)
				done <- err
			}()
			synctest.Wait()
			_, err = ln.Accept()
			require.NoError(t, err)
			require.NoError(t, <-done)
			require.Equal(t, 3, n.Dials(addr))
			require.Equal(t, 2, n.Open(addr))
		})
	})
}

func TestListener(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(addr)
		require.Equal(t, addr, ln.Addr().String())
		require.Panics(t, func() { n.Listen(addr) })
		c, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)

		require.NoError(t, ln.Close())
		operr(t, ln.Close(), "close", net.ErrClosed)
		_, err = ln.Accept()
		operr(t, err, "accept", net.ErrClosed)
		_, err = c.Read(make([]byte, 1))
		operr(t, err, "read", syscall.ECONNRESET) // nobody had accepted it
		require.Zero(t, n.Open(addr))

		ln = n.Listen(addr) // a restart on the same address
		accepted := make(chan error)
		go func() {
			_, err := ln.Accept()
			accepted <- err
		}()
		synctest.Wait()
		require.NoError(t, ln.Close())
		operr(t, <-accepted, "accept", net.ErrClosed)
	})
}

// Close lets no goroutine hang, and needs no time for it: that the bubble ends
// without a deadlock is what is tested.
func TestNetworkClose(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(addr)
		n.Listen("b:1")
		n.Delay(addr, time.Hour)
		c, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		n.Blackhole("b:1")
		n.Blackhole(addr)
		go n.DialContext(context.Background(), "tcp", "b:1")
		s, err := ln.Accept()
		require.NoError(t, err)
		go ln.Accept()
		go s.Read(make([]byte, 1))
		c.Close()
		synctest.Wait()
		start := time.Now()
		n.Close()
		synctest.Wait()
		require.Zero(t, time.Since(start))
		_, err = n.DialContext(t.Context(), "tcp", "b:1")
		operr(t, err, "dial", syscall.ECONNREFUSED)
		require.Panics(t, func() { n.Listen(addr) })
	})
}

func TestOutsideABubble(t *testing.T) {
	n := simnet.New()
	c, s := connect(t, n)
	n.Delay(addr, time.Millisecond)
	write(t, c, "real time")
	read(t, s, "real time")
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.True(t, errors.Is(err, os.ErrDeadlineExceeded), err)
}
