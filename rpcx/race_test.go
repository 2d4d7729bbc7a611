package rpcx

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"resilientrpc/rpcx/internal/retry"

	"github.com/stretchr/testify/require"
)

// Of two failures the doubt is the greater one, and the error that of a server.
func TestBothFail(t *testing.T) {
	own, a, b := errors.New("own"), io.EOF, io.ErrUnexpectedEOF
	for _, c := range []struct{ first, later, want result }{
		{result{}, result{end: connLost, err: a, sent: MaybeSent}, result{end: connLost, err: a, sent: MaybeSent}},
		{result{end: connLost, err: a, sent: MaybeSent}, result{end: notSent, err: b}, result{end: notSent, err: b, sent: MaybeSent}},
		{result{end: notSent, err: a}, result{end: connLost, err: b, sent: MaybeSent}, result{end: connLost, err: b, sent: MaybeSent}},
		{result{end: connLost, err: a, sent: MaybeSent}, result{end: turnedAway, err: own}, result{end: connLost, err: a, sent: MaybeSent}},
		{result{end: turnedAway, err: own}, result{end: notSent, err: b}, result{end: notSent, err: b}},
		{result{}, result{end: turnedAway, err: own}, result{end: turnedAway, err: own}},
		{result{end: turnedAway, err: a}, result{end: noRoom, err: own}, result{end: noRoom, err: own}},
	} {
		require.Equal(t, c.want, c.first.and(c.later))
	}
}

// A hedge is charged to both budgets or to none.
func TestHedgeIsPaidTwiceOrNotAtAll(t *testing.T) {
	const full = 10.0
	c := &core{budget: retry.NewBudget(0.1), hedger: newHedger(&Hedge{})}
	require.True(t, c.payHedge())
	require.InDelta(t, full-1, c.budget.Level(), 0)
	require.InDelta(t, full-1, c.hedger.budget.Level(), 0)
	c.refundHedge()
	require.InDelta(t, full, c.budget.Level(), 0)
	require.InDelta(t, full, c.hedger.budget.Level(), 0)

	for c.budget.Withdraw() {
	}
	require.False(t, c.payHedge())
	require.InDelta(t, full, c.hedger.budget.Level(), 0)
	c.budget = retry.NewBudget(0.1)
	for c.hedger.budget.Withdraw() {
	}
	require.False(t, c.payHedge())
	require.InDelta(t, full, c.budget.Level(), 0)

	c.budget, c.hedger = retry.NewBudget(-1), newHedger(&Hedge{}) // no limit
	require.True(t, c.payHedge())
	c.refundHedge()
	require.InDelta(t, full, c.hedger.budget.Level(), 0)
}

// An attempt that ends while its caller leaves is not used again: the caller may have got
// hold of it, and would end another call in its place.
func TestAttemptIsNotReusedAfterItsCallerLeft(t *testing.T) {
	for _, cause := range []error{nil, context.Canceled} {
		for i := range 2 {
			a, x := new(attempt), &race{cause: cause}
			x.runners[i] = runner{attempt: a, hedge: i == 1}
			r := x.remove(a)
			require.Equal(t, i == 1, r.hedge)
			require.Nil(t, x.runners[i].attempt, "a caller that leaves later finds nothing to give up")
			require.Equal(t, cause == nil, a.Reset())
		}
	}
}

// The attempt's timer may see the deadline before the context does.
func TestLateByTheClock(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	require.True(t, isLate(ctx, result{at: deadline}))
	require.False(t, isLate(ctx, result{at: deadline.Add(-1)}))
	require.False(t, isLate(t.Context(), result{at: deadline}))
	cancel()
	require.True(t, isLate(ctx, result{}))
}
