package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

const budgetBurst = 10

// spend has calls hedged until n have been.
func (h *hedged) spend(n int) {
	h.answersAfter("a:1", 100*time.Millisecond)
	for range n - int(h.Stats().Hedges) { //nolint:gosec // they are few
		where(h.t, h.Client, 1)
		time.Sleep(200 * time.Millisecond)
	}
	require.EqualValues(h.t, n, h.Stats().Hedges)
}

// Nothing is charged for a hedge that was not made.
func TestNoEndpointNoCharge(t *testing.T) {
	t.Parallel()
	inRace(t, 2, func(d *rpcx.Dialer) { d.Retry.Budget, d.Hedge.Budget, d.Heartbeat = 1e-3, 1e-3, 0 }, func(t *testing.T, h *hedged) {
		h.kill("b:1")
		h.answersAfter("a:1", 100*time.Millisecond)
		where(t, h.Client, 100)
		require.Zero(t, h.Stats().Hedges)
		h.Resume("b:1")
		time.Sleep(5 * time.Minute)
		h.spend(budgetBurst)
	})
}

// Whatever the latencies, hedges stay within their budget.
func TestHedgeBudget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hedge, retry, least, most float64 }{
		{0, 0, 0.05, 0.05},
		{0.5, 0, 0.1, 0.1}, // that of retries
		{0.2, -1, 0.2, 0.2},
		{1, -1, 1, 1},
	} {
		inRace(t, 2, func(d *rpcx.Dialer) { d.Hedge.Budget, d.Retry.Budget = c.hedge, c.retry }, func(t *testing.T, h *hedged) {
			const calls = 250 // more of them in one bubble crash the race detector: every hedge is a goroutine of a timer
			h.answersAfter("a:1", 20*time.Millisecond)
			h.answersAfter("b:1", 20*time.Millisecond)
			where(t, h.Client, calls)
			hedges := float64(h.Stats().Hedges)
			require.LessOrEqual(t, hedges, c.most*calls+budgetBurst)
			require.GreaterOrEqual(t, hedges, c.least*calls)
		})
	}
}

// Hedges and retries together stay within the budget of retries.
func TestHedgesLeaveNothingToRetries(t *testing.T) {
	t.Parallel()
	inRace(t, 2, func(d *rpcx.Dialer) { d.Retry.Budget, d.Breaker.Disabled = 1e-3, true }, func(t *testing.T, h *hedged) {
		h.spend(budgetBurst)
		h.kill("a:1")
		h.kill("b:1")
		require.Error(t, h.Call("Bank.Where", struct{}{}, new(string)))
		require.Zero(t, h.Stats().Retries)
	})
}
