package chaos_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/chaos"
)

func plan(seed uint64) chaos.Plan {
	return chaos.Plan{
		Seed: seed, Length: 5 * time.Minute, Faults: chaos.Honest(),
		Hold: 8 * time.Second, Gap: time.Second, Settle: 3 * time.Second,
	}
}

// downAt counts the replicas that are out of order at a time, by looking.
func downAt(steps []chaos.Step, at, settle time.Duration) int {
	victims := make(map[int]bool)
	for _, s := range steps {
		if s.At <= at && at < s.At+s.Hold+settle {
			victims[s.Victim] = true
		}
	}
	return len(victims)
}

func TestOneReplicaIsAlwaysInOrder(t *testing.T) {
	for _, down := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			most := 0
			for seed := range uint64(100) {
				p := plan(seed)
				p.Down = down
				steps := p.Steps()
				require.NotEmpty(t, steps)
				for _, s := range steps {
					most = max(most, downAt(steps, s.At, p.Settle))
					require.GreaterOrEqual(t, s.Hold, p.Hold/4)
					require.LessOrEqual(t, s.Hold, p.Hold)
					require.LessOrEqual(t, s.At+s.Hold+p.Settle, p.Length)
				}
			}
			if down == 0 {
				down = 2
			}
			require.Equal(t, down, most)
		})
	}
}

// Two faults of one replica would hide each other.
func TestOneFaultForEachReplica(t *testing.T) {
	for seed := range uint64(100) {
		free := make(map[int]time.Duration)
		last := time.Duration(0)
		for _, s := range plan(seed).Steps() {
			require.GreaterOrEqual(t, s.At, free[s.Victim])
			require.GreaterOrEqual(t, s.At, last)
			free[s.Victim], last = s.At+s.Hold, s.At
		}
	}
}

func TestEveryFaultIsDealt(t *testing.T) {
	count := make(map[chaos.Fault]int)
	for _, s := range plan(1).Steps() {
		count[s.Fault]++
	}
	require.Len(t, count, len(chaos.Honest()))
	least, most := 1000, 0
	for _, n := range count {
		least, most = min(least, n), max(most, n)
	}
	require.LessOrEqual(t, most-least, 1)
}

func TestSeedBringsBackTheSchedule(t *testing.T) {
	require.Equal(t, plan(7).Steps(), plan(7).Steps())
	require.NotEqual(t, plan(7).Steps(), plan(8).Steps())
}
