package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

func TestErrorsIs(t *testing.T) {
	err := error(&rpcx.CallError{Err: fmt.Errorf("wrapped: %w", rpcx.ErrUnresponsive)})
	require.ErrorIs(t, err, rpcx.ErrUnresponsive)
	require.NotErrorIs(t, err, rpcx.ErrUnavailable)
	require.False(t, errors.As(err, new(rpc.ServerError)))
}

func TestCallErrorTellsTheWholeStory(t *testing.T) {
	const addr = "127.0.0.1:7001"
	for want, e := range map[string]rpcx.CallError{
		"rpcx: Arith.Sleep at 127.0.0.1:7001: context deadline exceeded (1 attempt, may have run)": {
			Method: "Arith.Sleep", Endpoint: addr, Attempts: 1, Sent: rpcx.MaybeSent, Err: context.DeadlineExceeded,
		},
		"rpcx: Arith.Sleep at 127.0.0.1:7001: peer does not respond (3 attempts, did not run)": {
			Method: "Arith.Sleep", Endpoint: addr, Attempts: 3, Err: rpcx.ErrUnresponsive,
		},
		"rpcx: Arith.Sleep at 127.0.0.1:7001: unexpected EOF (1 attempt, ran)": {
			Method: "Arith.Sleep", Endpoint: addr, Attempts: 1, Sent: rpcx.Executed, Err: io.ErrUnexpectedEOF,
		},
		"rpcx: Arith.Sleep: too many calls under way (did not run)": {Method: "Arith.Sleep", Err: rpcx.ErrOverloaded},
		"rpcx: Arith.Sleep: <nil> (did not run)":                    {Method: "Arith.Sleep"},
	} {
		require.EqualError(t, &e, want)
	}
}

// It read "no endpoint is available; ... (last: no endpoint is available; ...)", in 337
// characters, and without the error that was the cause.
func TestErrorOfAFleetThatIsDown(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 5} {
		inFleet(t, n, func(t *testing.T, f *fleet) {
			f.dialer.Methods = idempotent("Bank.Where")
			c := f.dial()
			defer c.Close()
			for _, a := range f.addrs {
				f.kill(a)
			}
			time.Sleep(100 * time.Millisecond)
			for range 20 {
				err := c.Call("Bank.Where", struct{}{}, new(string))
				require.ErrorIs(t, err, rpcx.ErrUnavailable)
				require.ErrorIs(t, err, breaker.ErrOpen)
				text := err.Error()
				require.Contains(t, text, "connection refused")
				require.Equal(t, 1, strings.Count(text, "available"), text)
				require.Equal(t, 1, strings.Count(text, "rpcx:"), text)
				require.LessOrEqual(t, len(text), 240, text)
				if n == 1 {
					require.Regexp(t, `^rpcx: Bank\.Where( at a:1)?: the only endpoint is not available \(next probe in \S+\); a:1: dial tcp a:1: connect: connection refused \((did not run|1 attempt, did not run)\)$`, text)
				}
			}
		})
	}
}

// An error names the last failure of a server, and not only the caller's deadline or a refusal
// by this client.
func TestLastErrorOfAServerIsKept(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("Bank.Sleep")
		f.dialer.Retry.MaxAttempts = 100
		c := f.dial()
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			f.kill("a:1")
		}()
		err := c.CallContext(ctx, "Bank.Sleep", 10*time.Second, new(string))
		require.Regexp(t, `last error: .*(connection refused|connection reset by peer|unexpected EOF)`, err.Error())
		require.ErrorContains(t, err, "may have run", "the first attempt was under way when the server died")
		require.Equal(t, 1, strings.Count(err.Error(), "rpcx:"), err.Error())
	})
}

// The text told when the next probe would be, of a probe that was under way.
func TestErrorWhileAProbeIsUnderWay(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		f.kill("a:1")
		time.Sleep(100 * time.Millisecond)
		require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
		f.Resume("a:1")
		f.Stall("a:1") // it accepts, and does not answer
		require.Eventually(t, func() bool { return c.Stats().Endpoints[0].State == breaker.HalfOpen }, time.Minute, 10*time.Millisecond)
		require.ErrorContains(t, c.Call("Bank.Where", struct{}{}, new(string)), "the only endpoint is not available (a probe is under way); a:1: ")
	})
}

// With one endpoint, a call went on to the same one at once, beyond Retry.MaxAttempts.
func TestAttemptsAtOneEndpoint(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]int{-1: 1, 1: 1, 2: 2, 0: 3} {
		synctest.Test(t, func(t *testing.T) {
			d := rpcx.Dialer{Lazy: true}
			d.Retry.MaxAttempts, d.Breaker.Disabled = most, true
			d.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
			c, err := d.Dial("tcp", "a:1")
			require.NoError(t, err)
			defer c.Close()
			err = c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
			require.Equal(t, want, callError(t, err).Attempts, "MaxAttempts %d", most)
		})
	}
}

func TestErrorOfADrainedEndpoint(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		require.NoError(t, c.Drain("a:1", "it is restarted"))
		require.EqualError(t, state(t, c, "a:1").Cause, "drained by hand, it is restarted")
		require.EqualError(t, c.Call("Bank.Where", struct{}{}, new(string)),
			"rpcx: Bank.Where: the only endpoint is not available; a:1: drained by hand, it is restarted (did not run)")
	})
}

// A drained endpoint is not the one that may be back first.
func TestErrorBesideADrainedEndpoint(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Retry.MaxAttempts = 1
		c := f.dial()
		defer c.Close()
		require.NoError(t, c.Drain("a:1", ""))
		require.NoError(t, c.Drain("c:1", ""))
		f.kill("b:1")
		time.Sleep(time.Minute)
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorContains(t, err, "; b:1: ")
		require.ErrorContains(t, err, "next probe in ")
	})
}
