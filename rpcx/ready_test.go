package rpcx_test

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/resolver"
)

// laterSet is a resolver that names its set after a time.
type laterSet struct {
	after time.Duration
	set   []rpcx.Endpoint
}

func (r laterSet) Watch(ctx context.Context, update func([]rpcx.Endpoint, error)) error {
	select {
	case <-time.After(r.after):
		update(r.set, nil)
	case <-ctx.Done():
	}
	<-ctx.Done()
	return ctx.Err()
}

var _ resolver.Resolver = laterSet{}

func TestLazyDialReturnsAtOnce(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.kill("a:1")
		f.kill("b:1")
		f.dialer.Lazy = true
		began := time.Now()
		c := f.dial()
		defer c.Close()
		require.Zero(t, time.Since(began))
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.Error(t, err)
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		require.Equal(t, map[string]int{"a:1": 5}, where(t, c, 5))
	})
}

// A call made before the first connection waits for that, and for no more.
func TestFirstCallOfALazyClient(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Lazy = true
		c := f.dial()
		defer c.Close()
		began := time.Now()
		require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
		require.Less(t, time.Since(began), 20*time.Millisecond)
		time.Sleep(time.Second)
		for _, e := range c.Stats().Endpoints {
			require.True(t, e.Connected, e.Address)
		}
	})
}

func TestLazyDialRefusesWhatCannotBeRight(t *testing.T) {
	for address, want := range map[string]string{
		"a":         "not of the form host:port",
		"a:1,a:1":   "listed twice",
		"a:1,,":     "empty entry",
		"xyz:///a":  "unknown scheme",
		"a:1,b:no1": "which is no number",
	} {
		_, err := (&rpcx.Dialer{Lazy: true}).Dial("tcp", address)
		require.ErrorContains(t, err, want, address)
	}
}

func TestLazyDialDoesNotWaitForTheResolver(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Lazy = true
		f.dialer.Resolver = laterSet{5 * time.Second, []rpcx.Endpoint{{Address: "a:1"}}}
		began := time.Now()
		c, err := f.dialer.Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		require.Zero(t, time.Since(began))
		err = c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnavailable)
		require.EqualError(t, err, "rpcx: Bank.Where: no endpoint is known yet (did not run)")
		var name string
		require.NoError(t, c.CallContext(rpcx.WithWaitForReady(t.Context()), "Bank.Where", struct{}{}, &name))
		require.Equal(t, "a:1", name)
		require.InDelta(t, 5, time.Since(began).Seconds(), 2)
	})
}

// failing is a resolver that finds nothing.
type failing struct{}

func (failing) Watch(ctx context.Context, update func([]rpcx.Endpoint, error)) error {
	update(nil, errors.New("the registry is gone"))
	<-ctx.Done()
	return ctx.Err()
}

func TestUnavailableSaysWhyTheResolverNamesNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := (&rpcx.Dialer{Lazy: true, Resolver: failing{}}).Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		synctest.Wait()
		err = c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
		require.EqualError(t, err, "rpcx: Bank.Where: no endpoint is known: the registry is gone (did not run)")
	})
}

// loadUntil makes calls in many goroutines until it is stopped, and returns those that failed.
func loadUntil(c *rpcx.Client, call func(*rpcx.Client) error) (stop func() (calls int, failed []error)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed []error
	calls, done := 0, make(chan struct{})
	for range 10 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(30 * time.Millisecond):
				}
				err := call(c)
				mu.Lock()
				calls++
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []error) {
		close(done)
		wg.Wait()
		return calls, failed
	}
}

// All replicas are killed, and are back after 6 s: calls wait, and none fails.
func TestWaitForReadyOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*rpcx.Client) error{
		"Call": func(c *rpcx.Client) error { return c.Call("Bank.Where", struct{}{}, new(string)) },
		"Go": func(c *rpcx.Client) error {
			return (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error
		},
		"CallContext": func(c *rpcx.Client) error {
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			defer cancel()
			return c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
		},
	}
	for name, call := range calls {
		for _, hedged := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 3, func(t *testing.T, f *fleet) {
					f.dialer.WaitForReady = true
					f.dialer.Methods = idempotent("Bank.*")
					if hedged {
						f.dialer.Hedge = &rpcx.Hedge{Delay: 5 * time.Millisecond}
					}
					c := f.dial()
					defer c.Close()
					stop := loadUntil(c, call)
					time.Sleep(500 * time.Millisecond)
					for _, a := range f.addrs {
						f.kill(a)
					}
					time.Sleep(4 * time.Second)
					for _, a := range f.addrs {
						f.Resume(a)
					}
					time.Sleep(2 * time.Second)
					n, failed := stop()
					require.Empty(t, failed)
					require.Greater(t, n, 400, "the load goes on after the outage")
				})
			})
		}
	}
}

// What may have run waits for nothing: it is not repeated at all.
func TestWaitForReadyRepeatsNothing(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.WaitForReady = true
		c := f.dial()
		defer c.Close()
		under := c.Go("Bank.SlowDeposit", Deposit{ID: 1, Amount: 1}, new(int), nil)
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		f.kill("a:1")
		require.Error(t, (<-under.Done).Error)
		later := c.Go("Bank.Deposit", Deposit{ID: 2, Amount: 1}, new(int), nil)
		time.Sleep(10 * time.Second)
		f.Resume("a:1")
		require.NoError(t, (<-later.Done).Error)
		require.Equal(t, 1, f.ledger.count(1))
		require.Equal(t, 1, f.ledger.count(2))
	})
}

func TestWaitForReadyEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		f.kill("b:1")
		time.Sleep(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(rpcx.WithWaitForReady(t.Context()), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Regexp(t, `^rpcx: Bank\.Where.*: context deadline exceeded; last error: .*connection refused`, err.Error())
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
	})
}

func TestWaitForReadyEndsWithTheClient(t *testing.T) {
	leak.Check(t)
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.WaitForReady = true
		c := f.dial()
		f.kill("a:1")
		waiting := c.Go("Bank.Where", struct{}{}, new(string), nil)
		time.Sleep(time.Minute)
		require.NoError(t, c.Close())
		require.Equal(t, rpcx.ErrShutdown, (<-waiting.Done).Error)
	})
}

func TestWaitForReadyOfMethods(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.WaitForReady = true
		f.dialer.Methods = map[string]rpcx.MethodOptions{"Bank.Echo": {WaitForReady: rpcx.No}}
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		time.Sleep(time.Second)
		began := time.Now()
		require.Error(t, c.Call("Bank.Echo", "x", new(string)))
		require.Less(t, time.Since(began), 2*time.Second)
		waiting := c.Go("Bank.Where", struct{}{}, new(string), nil)
		time.Sleep(10 * time.Second)
		require.Empty(t, waiting.Done)
		f.Resume("a:1")
		require.NoError(t, (<-waiting.Done).Error)
	})
}

// Without pings a breaker lets calls try its endpoint: those that wait do.
func TestWaitForReadyWithoutPings(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*rpcx.Dialer){
		"no pings":   func(d *rpcx.Dialer) { d.Heartbeat = -1 },
		"no breaker": func(d *rpcx.Dialer) { d.Breaker.Disabled = true },
		"one try":    func(d *rpcx.Dialer) { d.Retry.MaxAttempts = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				f.dialer.WaitForReady = true
				configure(&f.dialer)
				c := f.dial()
				defer c.Close()
				f.kill("a:1")
				f.kill("b:1")
				var calls []*rpcx.Call
				for range 10 {
					calls = append(calls, c.Go("Bank.Where", struct{}{}, new(string), nil))
				}
				time.Sleep(30 * time.Second)
				f.Resume("b:1")
				began := time.Now()
				for _, call := range calls {
					require.NoError(t, (<-call.Done).Error)
				}
				require.Less(t, time.Since(began), 31*time.Second, "the longest interval of a breaker")
			})
		})
	}
}

// The same with a real socket: a server that is not there yet.
func TestServerThatStartsLater(t *testing.T) {
	t.Parallel()
	addr := filepath.Join(t.TempDir(), "s") // a free port might be another test's by then
	c, err := (&rpcx.Dialer{Lazy: true, WaitForReady: true}).Dial("unix", addr)
	require.NoError(t, err)
	defer c.Close()
	call := c.Go("Bank.Where", struct{}{}, new(string), nil)
	time.Sleep(300 * time.Millisecond) // some dials are refused meanwhile
	require.Empty(t, call.Done)
	lis, err := net.Listen("unix", addr)
	require.NoError(t, err)
	defer lis.Close()
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "late"}))
	go server.Accept(lis)
	select {
	case <-call.Done:
		require.NoError(t, call.Error)
	case <-time.After(20 * time.Second):
		t.Fatal("the call does not end")
	}
}
