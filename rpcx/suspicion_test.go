package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Calls turn away from a silent peer while the detector still hesitates, and come
// back with its first answer.
func TestSuspicionCostsBeforeTheVerdict(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		seen := where(t, c, 300)
		require.Len(t, seen, 3)
		f.Stall("a:1")
		stats := waitForPhi(t, c, .6)
		require.False(t, stats.Suspect, "phi %v: no verdict yet", stats.Phi)
		seen = where(t, c, 30)
		require.Zero(t, seen["a:1"], "%v", seen)
		f.Resume("a:1")
		time.Sleep(2 * time.Second) // the end of the slot
		seen = where(t, c, 300)
		require.Greater(t, seen["a:1"], 60, "%v", seen)
	})
}

// waitForPhi waits until the first endpoint is suspected that much.
func waitForPhi(t *testing.T, c *rpcx.Client, phi float64) rpcx.EndpointStats {
	t.Helper()
	for range 1000 {
		if s := c.Stats().Endpoints[0]; s.Phi >= phi {
			return s
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("no suspicion")
	panic("unreachable")
}
