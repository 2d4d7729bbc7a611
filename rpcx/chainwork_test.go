package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/subtest"
)

// A Layer is a service of a chain.
type Layer struct {
	behind    *rpcx.Client // nil for the last
	contextOf func(args any) context.Context
	calls     atomic.Int64
	steps     atomic.Int64 // of Work, ever begun
}

// Fail passes on what the layer behind it answers, which is always an error.
func (l *Layer) Fail(q *Question, reply *string) error {
	l.calls.Add(1)
	if l.behind == nil {
		return errors.New("out of order")
	}
	return l.behind.CallContext(l.contextOf(q), "Layer.Fail", q, reply)
}

// workSteps is how many steps Work takes, of ten milliseconds each.
const workSteps = 100

// Work has the last layer work, until its context ends.
func (l *Layer) Work(q *Question, reply *int) error {
	ctx := l.contextOf(q)
	if l.behind != nil {
		return l.behind.CallContext(ctx, "Layer.Work", q, reply)
	}
	l.calls.Add(1)
	for range workSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.steps.Add(1)
		time.Sleep(10 * time.Millisecond) // work, on a real server
	}
	return nil
}

// unaware is what a method does that knows nothing of the context of its request.
func unaware(any) context.Context { return context.Background() }

// chains are the servers of a chain, and whether they tell the next one what they know.
var chains = map[string]struct {
	aware bool
	serve func(t *testing.T, lis net.Listener, s *rpc.Server)
}{
	"Serve and ContextOf": {true, serveGob},
	"Serve":               {false, serveGob},
	"stock server":        {true, serveStock},
}

func serveGob(t *testing.T, lis net.Listener, s *rpc.Server) {
	serveOrderly(t, lis, s, codec.NewGobServer)
}

// serveOrderly serves with Serve until the test ends.
func serveOrderly(t *testing.T, lis net.Listener, s *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg := rpcx.ServeConfig{StopTimeout: time.Minute}
	go func() { done <- cfg.Serve(ctx, lis, s, newCodec) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// chainOf serves three layers, A, B and C, and returns them with a client of A.
func chainOf(t *testing.T, kind string, d rpcx.Dialer) (layers [3]*Layer, c *rpcx.Client) {
	t.Helper()
	var clients []*rpcx.Client
	for i := len(layers) - 1; i >= 0; i-- {
		layers[i] = &Layer{behind: c, contextOf: unaware}
		if chains[kind].aware {
			layers[i].contextOf = rpcx.ContextOf
		}
		server := rpc.NewServer()
		require.NoError(t, server.Register(layers[i]))
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		chains[kind].serve(t, lis, server)
		c, err = d.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		clients = append(clients, c)
	}
	t.Cleanup(func() { // before the servers end, which is quick without clients
		for _, c := range clients {
			require.NoError(t, c.Close())
		}
	})
	return layers, c
}

// Three attempts by each of three clients are 27 calls of the last service, unless the
// servers say which are retries and which have been tried enough.
func TestRetriesOfAChainDoNotMultiply(t *testing.T) {
	for kind, want := range map[string][3]int64{
		"Serve and ContextOf": {1, 1, 3},
		"Serve":               {3, 9, 27},
		"stock server":        {3, 9, 27},
	} {
		t.Run(kind, func(t *testing.T) {
			leak.Check(t)
			d := rpcx.Dialer{Methods: idempotent("*"), Classify: func(string, error) rpcx.Class { return rpcx.TryElsewhere }}
			d.Retry.Budget = -1
			d.Retry.MaxAttempts = 3
			d.Retry.BackOff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }
			layers, c := chainOf(t, kind, d)
			require.Error(t, c.Call("Layer.Fail", &Question{}, new(string)))
			for i, l := range layers {
				require.Equal(t, want[i], l.calls.Load(), "calls of %c", 'A'+i)
			}
		})
	}
}

// The last service of a chain works no longer than the first caller waits, if all
// servers tell the next one.
func TestWorkOfAChainEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	var all subtest.Group
	defer all.Wait()
	for kind, c := range chains {
		all.Run(t, kind, func(t *testing.T) {
			layers, client := chainOf(t, kind, rpcx.Dialer{})
			last := layers[2]
			tries := int64(0)
			for d := 200 * time.Millisecond; last.calls.Load() == 0; d *= 2 { // a busy machine takes long to get there
				tries++
				ctx, cancel := context.WithTimeout(t.Context(), d)
				err := client.CallContext(ctx, "Layer.Work", &Question{}, new(int))
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			before := last.steps.Load()
			time.Sleep(workSteps * 10 * time.Millisecond) // real time: what is to end does not
			after := last.steps.Load() - before
			t.Logf("%d steps of 10 ms before the deadline, %d after it", before, after)
			require.LessOrEqual(t, last.calls.Load(), tries)
			if c.aware && kind != "stock server" {
				require.Less(t, after, int64(workSteps/3))
			} else {
				require.Greater(t, after, int64(10))
			}
		})
	}
}
