package rpcx

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

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
	full := int64(budgetBurst * repetition)
	c := &core{budget: newBudget(0.1), hedger: newHedger(&Hedge{})}
	require.True(t, c.payHedge())
	require.Equal(t, full-repetition, c.budget.stock.Load())
	require.Equal(t, full-repetition, c.hedger.budget.stock.Load())
	c.refundHedge()
	c.refundHedge() // beyond the stock, for which there is no room
	require.Equal(t, full, c.budget.stock.Load())
	require.Equal(t, full, c.hedger.budget.stock.Load())

	c.budget.stock.Store(0)
	require.False(t, c.payHedge())
	require.Equal(t, full, c.hedger.budget.stock.Load())
	c.budget.stock.Store(full)
	c.hedger.budget.stock.Store(repetition - 1)
	require.False(t, c.payHedge())
	require.Equal(t, full, c.budget.stock.Load())

	c.budget = newBudget(-1) // no limit
	c.hedger.budget.stock.Store(full)
	require.True(t, c.payHedge())
	c.refundHedge()
	require.Equal(t, full, c.hedger.budget.stock.Load())
}

// Of however small a share, calls add up to one repetition, and no sooner.
func TestSmallBudgetsAreExact(t *testing.T) {
	for _, every := range []int{10, 20, 1000, 10_000, 1_000_000} {
		b := newBudget(1 / float64(every))
		for range budgetBurst {
			require.True(t, b.withdraw())
		}
		for range every - 1 {
			b.deposit()
		}
		require.False(t, b.withdraw(), "one in %d", every)
		b.deposit()
		require.True(t, b.withdraw(), "one in %d", every)
	}
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
