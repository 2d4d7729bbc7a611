package rpcx_test

import (
	"context"
	"net"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// A call whose repetition the budget does not allow ends at once, and not after the wait
// for it.
func TestSpentBudgetEndsACallWithoutAWait(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("*")
		f.dialer.Retry = rpcx.Retry{Budget: 1e-9, BackOff: constantly(time.Second)}
		f.dialer.Breaker.Disabled = true
		c := f.dial()
		defer c.Close()
		for spent := 0; spent <= 10; spent++ {
			call := c.Go("Bank.Sleep", 300*time.Millisecond, new(string), nil)
			time.Sleep(100 * time.Millisecond)
			cut := time.Now()
			f.Cut("a:1")
			if spent < 10 {
				require.NoError(t, (<-call.Done).Error)
				require.EqualValues(t, spent+1, c.Stats().Retries)
				continue
			}
			require.Error(t, (<-call.Done).Error)
			require.Less(t, time.Since(cut), 500*time.Millisecond)
		}
		go func() {
			time.Sleep(100 * time.Millisecond)
			f.Cut("a:1")
		}()
		err := c.CallContext(t.Context(), "Bank.Sleep", 300*time.Millisecond, new(string))
		require.ErrorContains(t, err, "(1 attempt, may have run; the retry budget is spent)")
	})
}

// counted is a policy that counts how often it is asked.
type counted struct {
	backoff.ConstantBackOff
	asked *atomic.Int32
}

func (c *counted) NextBackOff() time.Duration {
	c.asked.Add(1)
	return c.ConstantBackOff.NextBackOff()
}

// A call whose time is up asks no policy when to go on.
func TestTimeThatIsUpAsksNoPolicy(t *testing.T) {
	t.Parallel()
	type caller interface {
		Call(method string, args, reply any) error
	}
	for name, use := range map[string]func(*rpcx.Client) caller{
		"Call": func(c *rpcx.Client) caller { return c },
		"Go":   func(c *rpcx.Client) caller { return byGo{c} },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var asked atomic.Int32
				f.dialer.Methods = idempotent("*")
				f.dialer.CallTimeout = time.Second
				f.dialer.Retry.BackOff = func() backoff.BackOff {
					return &counted{backoff.ConstantBackOff{Interval: time.Millisecond}, &asked}
				}
				c := f.dial()
				defer c.Close()
				require.Error(t, use(c).Call("Bank.Sleep", time.Minute, new(string)))
				require.Zero(t, asked.Load())
			})
		})
	}
}

// An attempt that waits for room until its time is up is not charged.
func TestRepetitionThatIsNotSentIsNotPaidFor(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = -1
		f.dialer.Methods = idempotent("Bank.Sleep")
		f.dialer.CallTimeout = 5 * time.Second
		f.dialer.Retry.BackOff = constantly(time.Second)
		c := f.dial()
		defer c.Close()
		call := c.Go("Bank.Sleep", time.Minute, new(string), nil)
		time.Sleep(100 * time.Millisecond)
		f.Cut("a:1")
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, c.Call("Bank.Measure", "connects", new(int)))
		f.Stall("a:1")
		for range 4 {
			c.Go("Bank.Measure", strings.Repeat("x", 1<<20), new(int), nil)
		}
		require.Error(t, (<-call.Done).Error)
		require.InDelta(t, 10, c.Stats().Budget, 1e-6)
	})
}

// A server that refuses a call was given it: to try again is load, and is paid for.
func TestRepetitionOfWhatAServerRefusedIsPaidFor(t *testing.T) {
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "a", ledger: &ledger{runs: make(map[int]int)}}))
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&rpcx.ServeConfig{MaxConns: 1}).Serve(ctx, lis, server, nil) }()
	defer func() {
		stop()
		<-served
	}()
	first, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer first.Close()
	require.NoError(t, first.Call("Bank.Where", struct{}{}, new(string)))

	d := rpcx.Dialer{Heartbeat: -1, Retry: rpcx.Retry{BackOff: constantly(time.Millisecond)}, CallTimeout: 500 * time.Millisecond}
	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
	require.Positive(t, c.Stats().Retries)
	require.Less(t, c.Stats().Budget, 9.5)
}
