package settings

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// TestTableOfMistakes prints, with -table, what a shorter DetectionTime costs where nothing is
// broken: convictions, and calls that fail by them because they are not idempotent.
func TestTableOfMistakes(t *testing.T) {
	t.Parallel()
	lasts := 3 * time.Hour
	values := settings[len(settings)-2].values
	if !*whole {
		lasts, values = time.Minute, values[:1]
	}
	out := "\nConvictions in an hour, and calls that failed of a million that are not idempotent:\n\n" +
		"| Workload |"
	for _, v := range values {
		out += " " + v.name + " |"
	}
	out += "\n|---|" + strings.Repeat("---|", len(values)) + "\n"
	for _, i := range []int{0, 1, 2, 3, 6, 11} {
		out += "| " + workloads[i].name + " |"
		for _, v := range values {
			convicted, failed := mistakes(t, workloads[i], v, lasts)
			if *whole {
				out += fmt.Sprintf(" %.1f, %.0f |", float64(convicted)/lasts.Hours(), 1e6*failed)
				continue
			}
			require.Zero(t, failed, workloads[i].name)
		}
		out += "\n"
	}
	if *whole {
		fmt.Print(out)
	}
}

// mistakes returns how often healthy replicas were convicted, and the share of the calls that are
// not idempotent that failed by it.
func mistakes(t *testing.T, work workload, v value, lasts time.Duration) (convicted int64, failed float64) {
	inWorld(t, work, 1, func(w *world) {
		var verdicts, failures, bought atomic.Int64
		v.set(&w.dialer)
		w.dialer.Trace = &rpcx.ClientTrace{Suspicion: func(i rpcx.SuspicionInfo) {
			if i.Verdict == rpcx.Convicted || i.Verdict == rpcx.Spared {
				verdicts.Add(1)
			}
		}}
		c := w.dial()
		defer c.Close()
		r := rand.New(rand.NewPCG(1, 600)) //nolint:gosec // a seed
		var calls sync.WaitGroup
		for time.Since(w.began) < lasts {
			calls.Go(func() {
				var reply int
				bought.Add(1)
				if c.Call("Shop.Buy", 1, &reply) != nil {
					failures.Add(1)
				}
			})
			time.Sleep(exponential(r, time.Second/10))
		}
		calls.Wait()
		convicted, failed = verdicts.Load(), float64(failures.Load())/float64(bought.Load())
	})
	return convicted, failed
}
