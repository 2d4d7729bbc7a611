package rpcx

import (
	"context"
	"net"
	"net/rpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

type napper struct{}

func (napper) Nap(d time.Duration, _ *int) error { time.Sleep(d); return nil }
func (napper) Fail(d time.Duration, _ *int) error {
	time.Sleep(d)
	return context.Canceled // any error
}

// A method is known by its answers, late ones and errors included, where it was called
// and, if only elsewhere, from there.
func TestUsualLatencyIsAMethods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		server := rpc.NewServer()
		require.NoError(t, server.RegisterName("N", napper{}))
		for _, addr := range []string{"a:1", "b:1"} {
			ln := n.Listen(addr)
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					go server.ServeConn(conn)
				}
			}()
		}
		var d Dialer
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, address)
		}
		c, err := d.Dial("tcp", "a:1", "b:1")
		require.NoError(t, err)
		defer c.Close()
		synctest.Wait()
		call := func(method string, takes, patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return c.CallContext(ctx, method, takes, new(int))
		}
		usual := func(method string) (all []time.Duration) {
			for _, e := range c.endpoints() {
				all = append(all, e.usual(method))
			}
			return all
		}
		known := func(d time.Duration) []time.Duration { return []time.Duration{d, d} }

		require.Equal(t, known(0), usual("N.Nap"))
		require.ErrorIs(t, call("N.Nap", 300*time.Millisecond, 50*time.Millisecond), context.DeadlineExceeded)
		require.Equal(t, known(0), usual("N.Nap"), "nothing is known yet")
		time.Sleep(time.Second)
		require.Equal(t, known(300*time.Millisecond), usual("N.Nap"), "the reply came late")

		require.ErrorAs(t, call("N.Fail", 30*time.Millisecond, time.Second), new(rpc.ServerError))
		require.Equal(t, known(30*time.Millisecond), usual("N.Fail"))
		require.Equal(t, known(0), usual(pingMethod))
	})
}
