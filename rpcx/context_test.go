package rpcx_test

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
)

// Enduring is a service whose method lasts as long as its caller waits.
type Enduring struct{ causes chan error }

// Wait implements a method.
func (p *Enduring) Wait(args *int, _ *int) error {
	ctx := rpcx.ContextOf(args)
	<-ctx.Done()
	p.causes <- context.Cause(ctx)
	return errors.New("the context has ended")
}

// With any client, a method learns that its caller's connection is lost.
func TestContextOfWithAStockClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := simnet.New()
		defer network.Close()
		server, p, stats := rpc.NewServer(), &Enduring{make(chan error, 1)}, new(rpcx.ServeStats)
		require.NoError(t, server.Register(p))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		cfg := rpcx.ServeConfig{Stats: stats}
		lis := network.Listen("s:1")
		go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()
		conn, err := network.DialContext(t.Context(), "tcp", "s:1")
		require.NoError(t, err)
		client := rpc.NewClient(conn)
		call := client.Go("Enduring.Wait", 1, new(int), nil)
		synctest.Wait()
		require.NoError(t, client.Close())
		require.ErrorContains(t, <-p.causes, "connection of the caller is lost")
		require.Error(t, (<-call.Done).Error)
		require.Equal(t, rpcx.ServeCounts{Canceled: 1}, stats.Counts())
		stop()
		require.NoError(t, <-ended)
	})
}

// Careless is a service whose method does not know what serves it.
type Careless struct{}

// Ask implements a method.
func (Careless) Ask(args *int, background *bool) error {
	*background = rpcx.ContextOf(args) == context.Background()
	return nil
}

func TestContextOfOutsideOfServe(t *testing.T) {
	server := rpc.NewServer()
	require.NoError(t, server.Register(Careless{}))
	near, far := net.Pipe()
	go server.ServeConn(far)
	client, background := rpc.NewClient(near), false
	require.NoError(t, client.Call("Careless.Ask", 1, &background))
	require.True(t, background)
	require.NoError(t, client.Close())
	require.Equal(t, context.Background(), rpcx.ContextOf(new(int)))
}
