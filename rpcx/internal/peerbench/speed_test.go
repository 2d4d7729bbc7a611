package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpeed(t *testing.T) {
	f := newFleet(t, 1)
	g := grid{rounds: 2, length: 10 * time.Millisecond}
	cells, err := measure(t.Context(), f, g, 4, 64)
	require.NoError(t, err)
	require.Len(t, cells, len(fast()))
	for _, c := range cells {
		require.Len(t, c.samples, g.rounds, c.name)
		for _, s := range c.samples {
			require.Positive(t, s.wall, c.name)
			require.Positive(t, s.allocs, c.name)
			require.Greater(t, s.bytes, 64.0, c.name)
		}
		require.Positive(t, c.against(cells[0]), c.name)
	}
	require.Equal(t, 1.0, cells[0].against(cells[0]))
	require.Len(t, speedTable(4, 64, cells).rows, len(cells))
	require.Len(t, aimsOf(1, 64, cells), 2)
	require.Len(t, aimsOf(128, 64, cells), 3)
}

func TestMiddle(t *testing.T) {
	require.Equal(t, 2.0, middle([]float64{3, 1, 2}))
	require.Equal(t, 2.5, middle([]float64{4, 1, 2, 3}))
}

// A contender whose replies are wrong has no speed.
func TestWrongRepliesHaveNoSpeed(t *testing.T) {
	_, err := drive(t.Context(), liar{}, 4, "text", time.Minute)
	require.ErrorIs(t, err, errWrong)
}
