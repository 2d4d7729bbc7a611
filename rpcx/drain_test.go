package rpcx_test

import (
	"context"
	"net"
	"net/rpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

func TestCloseContextWaitsForTheCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		start := time.Now()
		call := c.Go("Bank.Sleep", 2*time.Second, new(string), nil)
		ended := make(chan error, 1)
		go func() { ended <- c.CallContext(t.Context(), "Bank.Sleep", 3*time.Second, new(string)) }()
		time.Sleep(time.Second)
		closing := make(chan error, 1)
		go func() { closing <- c.CloseContext(t.Context()) }()
		synctest.Wait()
		require.Equal(t, rpcx.ErrShutdown, c.Call("Bank.Where", struct{}{}, new(string)))
		require.Equal(t, rpcx.ErrShutdown, (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error)
		require.NoError(t, <-closing)
		require.Equal(t, 3*time.Second+roundTrip, time.Since(start))
		require.NoError(t, (<-call.Done).Error)
		require.NoError(t, <-ended)
		require.Equal(t, rpcx.ErrShutdown, c.CloseContext(t.Context()))
		require.Equal(t, rpcx.ErrShutdown, c.Close())
	}) // the bubble fails if a goroutine is left
}

// A call that is tried again is one call, from the beginning to the end.
func TestCloseContextWaitsForRetries(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		time.Sleep(time.Second)
		ended := make(chan error, 1)
		ctx := rpcx.WithIdempotent(t.Context())
		go func() { ended <- c.CallContext(ctx, "Bank.Sleep", 2*time.Second, new(string)) }()
		time.Sleep(time.Second)
		closing := make(chan error, 1)
		go func() { closing <- c.CloseContext(t.Context()) }()
		synctest.Wait()
		f.Cut("a:1")
		f.Cut("b:1")
		require.NoError(t, <-ended)
		require.NoError(t, <-closing)
	})
}

func TestCloseContextIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		require.Equal(t, context.DeadlineExceeded, c.CloseContext(ctx))
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, rpcx.ErrShutdown, (<-call.Done).Error)
	})
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		where(t, c, 3)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, c.CloseContext(ctx), "there is nothing to wait for")
	})
}

func TestCloseBeatsCloseContext(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		closing := make(chan error, 2)
		for range 2 {
			go func() { closing <- c.CloseContext(t.Context()) }()
		}
		time.Sleep(time.Second)
		require.Empty(t, closing)
		start := time.Now()
		require.NoError(t, c.Close())
		require.Equal(t, rpcx.ErrShutdown, <-closing)
		require.Equal(t, rpcx.ErrShutdown, <-closing)
		require.Equal(t, rpcx.ErrShutdown, (<-call.Done).Error)
		require.Zero(t, time.Since(start))
	})
}

// Of several concurrent CloseContext one closes the client. Calls end as they would have
// without it, also those that begin at the same time.
func TestCloseContextAmongCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		time.Sleep(time.Second)
		ends := make(chan error, 300)
		for i := range cap(ends) {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ends <- c.Call("Bank.Sleep", 50*time.Millisecond, new(string))
			}()
		}
		time.Sleep(150 * time.Millisecond)
		closing := make(chan error, 3)
		for range cap(closing) {
			go func() { closing <- c.CloseContext(t.Context()) }()
		}
		var closed, served, refused int
		for range cap(closing) {
			if err := <-closing; err == nil {
				closed++
			} else {
				require.Equal(t, rpcx.ErrShutdown, err)
			}
		}
		for range cap(ends) {
			if err := <-ends; err == nil {
				served++
			} else {
				require.Equal(t, rpcx.ErrShutdown, err)
				refused++
			}
		}
		require.Equal(t, 1, closed)
		require.InDelta(t, 150, served, 1)
		require.Equal(t, cap(ends)-served, refused)
	})
}

// Both ways to close leave nothing behind over real sockets either.
func TestClosesDoNotLeak(t *testing.T) {
	for name, end := range map[string]func(*rpcx.Client) error{
		"Close": (*rpcx.Client).Close,
		"CloseContext": func(c *rpcx.Client) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // the calls would never end
			return c.CloseContext(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer lis.Close()
			gate := make(Turnstile)
			server := rpc.NewServer()
			require.NoError(t, server.Register(gate))
			go server.Accept(lis)
			d := rpcx.Dialer{MaxCalls: 8, QueueTimeout: time.Hour}
			c, err := d.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			var calls []*rpcx.Call
			for range 16 {
				calls = append(calls, c.Go("Turnstile.Pass", 1, new(int), nil))
			}
			if err := end(c); err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			for _, call := range calls {
				require.Equal(t, rpcx.ErrShutdown, (<-call.Done).Error)
			}
			close(gate)
		})
	}
	t.Run("drained", func(t *testing.T) {
		leak.Check(t)
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer lis.Close()
		gate := make(Turnstile)
		server := rpc.NewServer()
		require.NoError(t, server.Register(gate))
		go server.Accept(lis)
		c, err := rpcx.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		var calls []*rpcx.Call
		for range 16 {
			calls = append(calls, c.Go("Turnstile.Pass", 1, new(int), nil))
		}
		closing := make(chan error)
		go func() { closing <- c.CloseContext(t.Context()) }()
		close(gate)
		require.NoError(t, <-closing)
		for _, call := range calls {
			require.Len(t, call.Done, 1, "delivered before CloseContext returns")
			require.NoError(t, call.Error)
		}
	})
}

// Turnstile lets calls pass once it is closed.
type Turnstile chan struct{}

func (g Turnstile) Pass(n int, reply *int) error {
	<-g
	*reply = n
	return nil
}
