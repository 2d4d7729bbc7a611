package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	leak.Main(m)
}

// Every row yields figures, in a round so short that they mean nothing.
func TestRows(t *testing.T) {
	s, err := startServer()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.stop()) })
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			res, err := r.run(s, 1, 3*time.Millisecond)
			require.NoError(t, err)
			require.Positive(t, res.base[0])
			require.Positive(t, res.ours[0])
		})
	}
}

// A figure is judged as it is shown.
func TestTable(t *testing.T) {
	r := row{name: "a row", unit: " us", compare: ratio, required: 0.7}
	for _, c := range []struct {
		slowest float64
		want    string
	}{
		{0.708, "| a row | 110 us | 77.0 us | 0.70 | 0.70 … 0.71 | ≤ 0.70 | held |\n"},
		{0.720, "| a row | 110 us | 77.0 us | 0.71 | 0.70 … 0.72 | ≤ 0.70 | missed |\n"},
	} {
		var out strings.Builder
		res := result{base: []float64{100, 120}, ours: []float64{70, 84}, compared: []float64{0.7, c.slowest}}
		res.print(&out, r)
		require.Equal(t, c.want, out.String())
	}
}

// A wrong option is an error, not an empty table.
func TestOptions(t *testing.T) {
	require.ErrorContains(t, run(io.Discard, "", 0, time.Second), "-count")
	require.ErrorContains(t, run(io.Discard, "no such row", 1, time.Second), "no such row")
}
