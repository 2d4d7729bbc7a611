package rpcx_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A request that waits in memory can still be sent after its caller has left, if the peer is
// alive.
func TestWhatMayStillLeaveIsInDoubt(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = -1
		c := f.dial()
		defer c.Close()
		where(t, c, 1)
		f.Stall("a:1")
		fill := c.Go("Bank.Unknown", strings.Repeat("x", 1<<20), new(int), nil) // whose reply is short
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.CallContext(ctx, "Bank.Deposit", Deposit{ID: 7, Amount: 2}, new(int))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, rpcx.MaybeSent, callError(t, err).Sent)
		require.Zero(t, f.ledger.count(7))
		f.Resume("a:1")
		require.ErrorAs(t, (<-fill.Done).Error, new(rpcx.ServerError))
		time.Sleep(time.Second)
		require.Equal(t, 1, f.ledger.count(7), "it has left since")
	})
}

// Most of the first request may have been read; without its end no server runs it.
func TestRequestWhoseEndNeverLeftWasNotSent(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		var ends []rpcx.Sent
		f.dialer.Trace = &rpcx.ClientTrace{AttemptDone: func(_ context.Context, i rpcx.AttemptInfo) {
			if i.Err != nil {
				ends = append(ends, i.Sent)
			}
		}}
		c := f.dial()
		defer c.Close()
		where(t, c, 1)
		f.Stall("a:1")
		text, got := strings.Repeat("x", 2<<20), ""
		call := c.Go("Bank.Echo", text, &got, nil) // not idempotent
		time.Sleep(100 * time.Millisecond)
		require.NotZero(t, c.Stats().Endpoints[0].BytesWritten)
		f.Cut("a:1") // while nothing moves
		f.Resume("a:1")
		<-call.Done
		require.Equal(t, []rpcx.Sent{rpcx.NotSent}, ends)
		require.NoError(t, call.Error)
		require.Equal(t, text, got, "it was sent again")
	})
}
