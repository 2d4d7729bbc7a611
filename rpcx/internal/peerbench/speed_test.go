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
		require.Greater(t, c.wire, 2*64.0, c.name)
		require.Less(t, c.wire, 10*64.0, c.name)
	}
	require.Equal(t, 1.0, cells[0].against(cells[0]))
	require.Len(t, speedTable(4, 64, cells).rows, len(cells))
	require.Len(t, aimsOf(1, 64, cells), 2)
	require.Len(t, aimsOf(128, 64, cells), 3)

	all := &table{head: []string{""}}
	all.addTimes("first", cells)
	all.addTimes("second", cells)
	require.Equal(t, []string{"", "bytes on the wire", "client allocs", "first", "second"}, all.head)
	require.Len(t, all.rows, len(cells))
	for _, row := range all.rows {
		require.Len(t, row, len(all.head), row[0])
	}
}

// An aim that is missed has a reason, and one that is met needs none.
func TestAims(t *testing.T) {
	rows := aimTable([]aim{{"low", 1, 2, true, "why"}, {"low", 1, 1, true, "why"}, {"high", 1, 0.5, false, "why"}, {"high", 1, 1, false, "why"}}).rows
	require.Equal(t, [][]string{
		{"low", "at most 1.00", "2.00", "missed", "why"},
		{"low", "at most 1.00", "1.00", "met", ""},
		{"high", "at least 1.00", "0.50", "missed", "why"},
		{"high", "at least 1.00", "1.00", "met", ""},
	}, rows)
}

func TestMiddle(t *testing.T) {
	require.Equal(t, 2.0, middle([]float64{3, 1, 2}))
	require.Equal(t, 2.5, middle([]float64{4, 1, 2, 3}))
}

// A contender whose replies are wrong has no speed.
func TestWrongRepliesHaveNoSpeed(t *testing.T) {
	_, err := drive(t.Context(), liar{}, 4, 64, time.Minute)
	require.ErrorIs(t, err, errWrong)
}
