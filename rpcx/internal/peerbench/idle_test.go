package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdle(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, name := range []string{baseline, "grpc-go", "rpcx"} {
		c := find(name)
		i, err := idleElsewhere(t.Context(), idleOrder{name, f.addrs(c.wire), 20})
		require.NoError(t, err)
		require.Positive(t, i.Heap, name)
		require.Positive(t, i.Goroutines, name)
		if c.alone {
			require.Equal(t, 20, i.Endpoints, name)
		} else {
			require.Equal(t, 60, i.Endpoints, name)
		}
	}
}
