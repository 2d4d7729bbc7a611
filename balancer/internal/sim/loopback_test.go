//go:build unix

package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	os.Exit(m.Run())
}

// A server that other clients keep busy gets fewer calls if it says so; how long they
// take is left to the program.
func TestCrowded(t *testing.T) {
	t.Parallel()
	l := crowded{perSecond: 300, end: 4 * time.Second}
	const success, share = 0, 3
	for _, simulated := range []bool{false, true} {
		var without, with []float64
		for _, row := range []*[]float64{&without, &with} {
			l.reports = row == &with
			if simulated {
				*row = l.simulated(l.picker(balancer.P2C(), 1), 1)
				continue
			}
			var err error
			*row, err = l.real(balancer.P2C(), 1)
			require.NoError(t, err)
		}
		assert.Greater(t, with[success], 97.0)
		assert.Less(t, with[share], 50.0/loopServers, "less than half of a fair part")
		assert.LessOrEqual(t, with[share], without[share]+1)
	}
}

// The same faults in the simulator and on real processes; how long a call takes is
// left to the program, since a test may run on a busy machine.
func TestLoopback(t *testing.T) {
	t.Parallel()
	l := loopback{perSecond: 300, faulty: time.Second, end: 4 * time.Second}
	const success, holeShare, hungShare = 0, 4, 5
	for _, simulated := range []bool{false, true} {
		var row []float64
		if simulated {
			row = l.simulated(newOurs(loopServers, balancer.Config{Seed: 1}), 1)
		} else {
			var err error
			row, err = l.real(balancer.P2C(), 1)
			require.NoError(t, err)
		}
		assert.Greater(t, row[success], 97.0)
		fair := 100.0 / loopServers
		assert.Less(t, row[holeShare], fair/2)
		assert.Less(t, row[hungShare], fair/2)
	}
	row, err := l.real(balancer.RoundRobin(), 1)
	require.NoError(t, err)
	assert.Less(t, row[success], 90.0, "two servers of eleven answer nothing")
}
