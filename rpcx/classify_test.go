package rpcx_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/rpc"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// brokenBank is a replica that answers every call with an error at once.
type brokenBank struct {
	ledger *ledger
	err    error
}

func (b *brokenBank) Where(struct{}, *string) error { return b.err }

func (b *brokenBank) Deposit(d Deposit, _ *int) error {
	b.ledger.add(d.ID)
	return b.err
}

// withBroken runs f with three replicas, of which x:1 returns nothing but errors.
func withBroken(t *testing.T, text string, f func(*testing.T, *fleet)) {
	t.Helper()
	inFleet(t, 2, func(t *testing.T, fl *fleet) {
		broken := rpc.NewServer()
		require.NoError(t, broken.RegisterName("Bank", &brokenBank{fl.ledger, errors.New(text)}))
		stock := fl.serve
		fl.serve = func(_ *rpc.Server, c io.ReadWriteCloser) { stock(broken, c) }
		fl.start("x:1")
		fl.serve = stock
		fl.addrs = append([]string{"x:1"}, fl.addrs...)
		f(t, fl)
	})
}

// byText blames endpoints by the text of an error.
func byText(_ string, err error) rpcx.Class {
	switch text := err.Error(); {
	case strings.Contains(text, "database"):
		return rpcx.EndpointFailure
	case strings.Contains(text, "leader"):
		return rpcx.TryElsewhere
	}
	return rpcx.AppError
}

// A replica that has lost its database answers faster than any other, and gets most of the
// calls; gray failure's worst case.
func TestReplicaThatFailsIsLeft(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*rpcx.Client) error{
		"Call": func(c *rpcx.Client) error { return c.Call("Bank.Where", struct{}{}, new(string)) },
		"Go": func(c *rpcx.Client) error {
			return (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error
		},
	} {
		for _, hedge := range []*rpcx.Hedge{nil, {Delay: time.Millisecond}} {
			t.Run(name, func(t *testing.T) {
				withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
					f.dialer.Classify = byText
					f.dialer.Methods = idempotent("Bank.Where")
					f.dialer.Hedge = hedge
					c := f.dial()
					defer c.Close()
					for range 300 {
						require.NoError(t, call(c))
						time.Sleep(5 * time.Millisecond)
					}
					s := state(t, c, "x:1")
					require.True(t, s.Window.Failures > 0 || s.State != breaker.Closed, "the breaker counts, too")
					require.Less(t, s.Picks, uint64(10), "the balancer turns away from it")
				})
			})
		}
	}
}

func TestFailingReplicaWithoutClassify(t *testing.T) {
	t.Parallel()
	withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("Bank.Where")
		c := f.dial()
		defer c.Close()
		failed := 0
		for range 100 {
			if err := c.Call("Bank.Where", struct{}{}, new(string)); err != nil {
				require.IsType(t, rpc.ServerError(""), err)
				failed++
			}
		}
		require.Positive(t, failed, "an error of the method is its answer")
		require.Equal(t, breaker.Closed, state(t, c, "x:1").State)
	})
}

// A replica that is not the leader is no failure, and the call goes to another one.
func TestCallGoesElsewhere(t *testing.T) {
	t.Parallel()
	withBroken(t, "this is not the leader", func(t *testing.T, f *fleet) {
		f.dialer.Classify = byText
		f.dialer.Methods = idempotent("Bank.Where")
		f.dialer.Retry.Budget = -1
		c := f.dial()
		defer c.Close()
		for range 100 {
			require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
		}
		require.Equal(t, breaker.Closed, state(t, c, "x:1").State)
		require.Positive(t, state(t, c, "x:1").Picks)
	})
}

// Idempotency rules: a deposit is not made twice, whatever Classify says, and its error is
// the server's as it came.
func TestClassifiedErrorOfADeposit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"the database is gone", "this is not the leader"} {
		withBroken(t, text, func(t *testing.T, f *fleet) {
			f.dialer.Classify = byText
			c := f.dial()
			defer c.Close()
			failed := 0
			for id := range 60 {
				if err := c.CallContext(t.Context(), "Bank.Deposit", Deposit{ID: id, Amount: 1}, new(int)); err != nil {
					require.Equal(t, rpc.ServerError(text), err)
					failed++
				}
				require.Equal(t, 1, f.ledger.count(id))
			}
			require.Positive(t, failed)
		})
	}
}

// The last error is the server's as it came when no attempt is left, and CallError's last
// when the time is up before.
func TestClassifiedErrorAtTheEnd(t *testing.T) {
	t.Parallel()
	withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
		f.addrs = f.addrs[:1]
		f.dialer.Classify = byText
		f.dialer.Methods = idempotent("Bank.Where")
		c := f.dial()
		defer c.Close()
		require.Equal(t, rpc.ServerError("the database is gone"), c.Call("Bank.Where", struct{}{}, new(string)))
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		err := c.CallContext(ctx, "Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, rpc.ServerError("the database is gone"))
	})
}

// The rule alone, "5 consecutive failures", does not say what is wrong.
func TestOpenBreakerNamesTheServersError(t *testing.T) {
	t.Parallel()
	withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.addrs = f.addrs[:1]
		f.dialer.Classify = byText
		f.dialer.Retry.MaxAttempts = -1 // or a call waits for the next probe
		c := f.dial()
		defer c.Close()
		for range 5 {
			require.Equal(t, rpc.ServerError("the database is gone"), c.Call("Bank.Where", struct{}{}, new(string)))
		}
		const cause = "5 consecutive failures, last: the database is gone"
		require.EqualError(t, state(t, c, "x:1").Cause, cause)
		require.Len(t, log.with(cause), 1)
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnavailable)
		require.NotErrorIs(t, err, rpc.ServerError("the database is gone"), "it is another call's")
		require.Regexp(t, `^rpcx: Bank\.Where: the only endpoint is not available \(next probe in \S+\); x:1: `+cause+` \(did not run\)$`, err.Error())
	})
}

func TestClassifyThatPanics(t *testing.T) {
	t.Parallel()
	withBroken(t, "the database is gone", func(t *testing.T, f *fleet) {
		var log lines
		f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.dialer.Classify = func(string, error) rpcx.Class { panic("no idea") }
		f.addrs = f.addrs[:1]
		c := f.dial()
		defer c.Close()
		for range 10 {
			require.IsType(t, rpc.ServerError(""), c.Call("Bank.Where", struct{}{}, new(string)))
			require.IsType(t, rpc.ServerError(""), (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error)
		}
		require.Len(t, log.with("Dialer.Classify panicked"), 1)
		require.Equal(t, breaker.Closed, state(t, c, "x:1").State)
	})
}

func TestBreakersClassifyIsRefused(t *testing.T) {
	var d rpcx.Dialer
	d.Breaker.Classify = func(error) breaker.Outcome { return breaker.Success }
	_, err := d.Dial("tcp", "127.0.0.1:1")
	require.EqualError(t, err, "rpcx: Dialer.Breaker.Classify is set; use Dialer.Classify")
}
