package retry

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of however small a share, calls add up to one repetition, and no sooner.
func TestSmallBudgetsAreExact(t *testing.T) {
	for _, every := range []int{10, 20, 1000, 10_000, 1_000_000} {
		b := NewBudget(1 / float64(every))
		for range budgetBurst {
			require.True(t, b.Withdraw())
		}
		for range every - 1 {
			b.Deposit(0)
		}
		require.False(t, b.Withdraw(), "one in %d", every)
		b.Deposit(0)
		require.True(t, b.Withdraw(), "one in %d", every)
	}
}

// The stock grows to what the calls of ten seconds add, no matter how they are spread, and calls
// that are few again add nothing to it.
func TestBudgetGrowsWithTheCalls(t *testing.T) {
	for _, rate := range []int{1, 20, 500} {
		b := NewBudget(0.1)
		run := func(from, to time.Duration, rate int) {
			for at := from; at < to; at += time.Second / time.Duration(rate) {
				b.Deposit(at)
			}
		}
		run(0, time.Minute, rate)
		want := max(10, float64(rate))
		require.InDelta(t, want, b.Level(), want/50)
		run(time.Minute, 2*time.Minute, 1)
		require.InDelta(t, want, b.Level(), want/50)
		for b.Withdraw() { //nolint:revive // until it is spent
		}
		run(2*time.Minute, 10*time.Minute, 1)
		require.InDelta(t, 10, b.Level(), 0.01)
	}
}

// What is withdrawn is no more than ten and the share of the calls, whatever happens when.
func TestBudgetIsNeverOverdrawn(t *testing.T) {
	const share = 0.1
	rng := rand.New(rand.NewPCG(1, 2))
	b, at, calls, drawn := NewBudget(share), time.Duration(0), 0, 0
	for range 30_000 {
		switch rng.IntN(6) {
		case 0:
			at += time.Duration(rng.IntN(20_000)) * time.Microsecond
		case 1:
			if b.Withdraw() {
				drawn++
			}
		case 2:
			if drawn > 0 && rng.IntN(10) == 0 {
				b.Refund()
				drawn--
			}
		default:
			calls++
			b.Deposit(at - time.Duration(rng.IntN(2))*time.Second)
		}
		require.LessOrEqual(t, float64(drawn), 10+share*float64(calls)+1e-6)
	}
	require.Greater(t, float64(drawn), 0.9*share*float64(calls))
}
