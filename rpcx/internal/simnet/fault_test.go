package simnet_test

import (
	"context"
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

func TestStall(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		n.Stall(addr)
		write(t, c, "question")
		write(t, s, "answer")
		silent(t, c)
		silent(t, s)

		// SIGSTOP: the kernel still completes the handshake.
		d, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		write(t, d, "new")
		silent(t, d)

		n.Resume(addr)
		read(t, s, "question")
		read(t, c, "answer")
	})
}

func TestStallHoldsAccept(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(addr)
		n.Stall(addr)
		c, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		write(t, c, "early")
		accepted := make(chan net.Conn, 1)
		go func() {
			s, _ := ln.Accept()
			accepted <- s
		}()
		synctest.Wait()
		require.Empty(t, accepted)
		n.Resume(addr)
		read(t, <-accepted, "early")
	})
}

func TestStallFillsTheBuffer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		n.Buffer = 4
		c, s := connect(t, n)
		n.Stall(addr)
		require.NoError(t, s.Close()) // the client cannot know
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		sent, err := c.Write([]byte("123456"))
		require.Equal(t, 4, sent)
		operr(t, err, "write", os.ErrDeadlineExceeded)
		silent(t, c)
		n.Resume(addr)
		_, err = c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestBlackhole(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		n.Blackhole(addr)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := n.DialContext(ctx, "tcp", addr)
		operr(t, err, "dial", context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))

		write(t, c, "lost")
		silent(t, s)
		n.Resume(addr)
		silent(t, s) // for ever
		write(t, s, "intact")
		read(t, c, "intact")
	})
}

func TestBlackholeSwallowsTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		n.Blackhole(addr)
		require.NoError(t, s.Close())
		n.Resume(addr)
		silent(t, c) // a half-open connection
	})
}

func TestBlackholedDialSucceedsAfterResume(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		n.Listen(addr)
		n.Blackhole(addr)
		time.AfterFunc(time.Hour, func() { n.Resume(addr) })
		start := time.Now()
		_, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestCut(t *testing.T) {
	for _, fault := range []func(*simnet.Network, string){
		func(*simnet.Network, string) {}, (*simnet.Network).Stall, (*simnet.Network).Blackhole,
	} {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			c, s := connect(t, n)
			fault(n, addr)
			write(t, c, "on its way")
			reading := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 1))
				reading <- err
			}()
			synctest.Wait()
			n.Cut(addr)
			operr(t, <-reading, "read", syscall.ECONNRESET)
			for _, end := range []net.Conn{c, s} {
				_, err := end.Read(make([]byte, 1))
				operr(t, err, "read", syscall.ECONNRESET)
				_, err = end.Write([]byte("x"))
				operr(t, err, "write", syscall.ECONNRESET)
			}
			require.Zero(t, n.Open(addr))
			n.Resume(addr)
			_, err := n.DialContext(t.Context(), "tcp", addr)
			require.NoError(t, err)
		})
	}
}

func TestRefuse(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		n.Refuse(addr)
		_, err := n.DialContext(t.Context(), "tcp", addr)
		operr(t, err, "dial", syscall.ECONNREFUSED)
		write(t, c, "still here")
		read(t, s, "still here")
		n.Resume(addr)
		_, err = n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
	})
}

// Faults are of one address: its neighbor does not notice.
func TestFaultsAreLocal(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		for _, fault := range []func(string){n.Stall, n.Blackhole, n.Refuse, n.Cut} {
			fault("b:1")
			write(t, c, "x")
			read(t, s, "x")
		}
	})
}
