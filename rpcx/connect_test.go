package rpcx_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// deafen makes further dials wait for release, whatever their context says. It
// returns how many have been begun and how many wait.
func (f *fleet) deafen(release <-chan struct{}) (begun, waiting *atomic.Int64) {
	begun, waiting = new(atomic.Int64), new(atomic.Int64)
	deaf := f.dialer.NetDial
	f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if begun.Add(1) > 2*int64(len(f.addrs)) { // of each, the second asks how pings are taken
			waiting.Add(1)
			<-release
			waiting.Add(-1)
			ctx = context.WithoutCancel(ctx)
		}
		return deaf(ctx, network, address)
	}
	return begun, waiting
}

func TestDialThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	for _, disabled := range []bool{false, true} {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			release := make(chan struct{})
			begun, waiting := f.deafen(release)
			f.dialer.Breaker.Disabled = disabled
			c := f.dial()
			defer c.Close()
			time.Sleep(time.Second)
			f.Cut("a:1")
			synctest.Wait()
			start := time.Now()
			err := c.Call("Bank.Where", struct{}{}, new(string))
			require.Less(t, time.Since(start), 3*time.Second)
			require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
			require.ErrorContains(t, err, "dial a:1: it has not returned although its time is up")
			require.True(t, callError(t, err).Timeout() || !disabled)
			if !disabled {
				require.ErrorIs(t, err, breaker.ErrOpen)
			}

			for range 100 { // after two waits for a probe at most, and without further dials
				start := time.Now()
				require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
				require.Less(t, time.Since(start), 1500*time.Millisecond)
				time.Sleep(time.Second)
			}
			require.Equal(t, int64(3), begun.Load())
			require.Equal(t, int64(1), waiting.Load())

			close(release)
			time.Sleep(time.Minute)
			where(t, c, 10)
			require.Equal(t, 1, f.Open("a:1"), "what came late is closed")
		})
	}
}

func TestCloseDuringADialThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		release := make(chan struct{})
		_, waiting := f.deafen(release)
		c := f.dial()
		time.Sleep(time.Second)
		f.Cut("a:1")
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- c.Call("Bank.Where", struct{}{}, new(string)) }()
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, c.Close())
		require.Equal(t, rpcx.ErrShutdown, <-ended)
		require.Zero(t, time.Since(start))
		time.Sleep(time.Minute)
		require.Equal(t, int64(1), waiting.Load())
		close(release)
		time.Sleep(time.Minute)
		require.Zero(t, f.Open("a:1"))
	})
}

// Others do not wait with it.
func TestDialThatIgnoresItsContextMovesOn(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		release := make(chan struct{})
		defer close(release)
		stock := f.dialer.NetDial
		var dials atomic.Int64
		f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "a:1" {
				dials.Add(1)
				<-release
			}
			return stock(ctx, network, address)
		}
		c := f.dial()
		defer c.Close()
		start := time.Now()
		require.Equal(t, map[string]int{"b:1": 100}, where(t, c, 100))
		require.Less(t, time.Since(start), 3*time.Second)
		time.Sleep(time.Minute)
		require.Equal(t, int64(1), dials.Load())
	})
}

// A dial that returns nothing fails like any other; it ended the process.
func TestNetDialThatReturnsNothing(t *testing.T) {
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"nil":             func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"a typed nil":     func(context.Context, string, string) (net.Conn, error) { return (*net.TCPConn)(nil), nil },
		"a nil of theirs": func(context.Context, string, string) (net.Conn, error) { return (*reading)(nil), nil },
	} {
		for _, tls := range []*tls.Config{nil, {}} {
			d := rpcx.Dialer{NetDial: dial, TLSConfig: tls}
			_, err := d.Dial("tcp", "a:1")
			require.ErrorContains(t, err, "Dialer.NetDial returned neither a connection nor an error", name)
		}
	}
}
