package retry

import (
	"testing"

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
			b.Deposit()
		}
		require.False(t, b.Withdraw(), "one in %d", every)
		b.Deposit()
		require.True(t, b.Withdraw(), "one in %d", every)
	}
}
