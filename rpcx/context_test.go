package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// Limited is a service whose method tells whether its request has a deadline.
type Limited struct{}

// Ask implements a method.
func (Limited) Ask(takes *time.Duration, limited *bool) error {
	_, *limited = rpcx.ContextOf(takes).Deadline()
	time.Sleep(*takes) // virtual
	return nil
}

// A deadline that a hook sets holds on both sides for CallContext. For Go, which uses only the
// values of the context, it holds on none; hedged or not.
func TestDeadlineOfAHook(t *testing.T) {
	t.Parallel()
	type valueOf struct{}
	within := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, valueOf{}, true), 100*time.Millisecond)
		time.AfterFunc(time.Second, cancel)
		return ctx
	}
	for name, hooks := range map[string]rpcx.ClientTrace{
		"CallStart":    {CallStart: func(ctx context.Context, _ rpcx.CallInfo) context.Context { return within(ctx) }},
		"AttemptStart": {AttemptStart: func(ctx context.Context, _ rpcx.AttemptInfo) context.Context { return within(ctx) }},
	} {
		for _, hedge := range []*rpcx.Hedge{nil, {Delay: time.Minute}} {
			t.Run(fmt.Sprint(name, ", hedged ", hedge != nil), func(t *testing.T) {
				inFleet(t, 0, func(t *testing.T, f *fleet) {
					f.addrs = []string{"s:1", "s:2"}
					for _, addr := range f.addrs {
						stop := serving(t, f.Listen(addr), Limited{}, nil)
						defer stop() //nolint:errcheck // the network ends
					}
					f.dialer.Methods, f.dialer.Hedge, f.dialer.Retry.MaxAttempts = idempotent("*"), hedge, -1
					var values atomic.Int64
					hooks := hooks.Join(&rpcx.ClientTrace{AttemptDone: func(ctx context.Context, _ rpcx.AttemptInfo) {
						if ctx.Value(valueOf{}) != nil {
							values.Add(1)
						}
					}})
					f.dialer.Trace = hooks
					c := f.dial()
					defer c.Close()
					time.Sleep(10 * time.Second) // the servers say what they understand
					for range 4 {
						call := <-c.Go("Limited.Ask", new(time.Duration), new(bool), nil).Done
						require.NoError(t, call.Error)
						takes, limited := 500*time.Millisecond, true
						call = <-c.Go("Limited.Ask", &takes, new(bool), nil).Done
						require.NoError(t, call.Error)
						require.False(t, *call.Reply.(*bool), "the server has no deadline")
						require.NoError(t, c.CallContext(t.Context(), "Limited.Ask", new(time.Duration), &limited))
						require.True(t, limited, "the server has it")
						start := time.Now()
						require.ErrorIs(t, c.CallContext(t.Context(), "Limited.Ask", &takes, new(bool)), context.DeadlineExceeded)
						require.Equal(t, 100*time.Millisecond, time.Since(start))
					}
					require.EqualValues(t, 16, values.Load())
				})
			})
		}
	}
}

// A context that CallStart returns does not end the pauses of a call of Go.
func TestContextOfCallStartEndsNoPauseOfGo(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.WaitForReady = true
		f.dialer.Trace = &rpcx.ClientTrace{CallStart: func(ctx context.Context, _ rpcx.CallInfo) context.Context {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			time.AfterFunc(time.Minute, cancel)
			return ctx
		}}
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		call := c.Go("Bank.Where", struct{}{}, new(string), nil)
		time.Sleep(10 * time.Second)
		f.Resume("a:1")
		<-call.Done
		require.NoError(t, call.Error)
	})
}
