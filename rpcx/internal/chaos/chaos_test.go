package chaos_test

import (
	"flag"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

var (
	long    = flag.Duration("chaos", 0, "how long the chaos lasts; 0 for a short one")
	seed    = flag.Uint64("chaos.seed", 1, "the seed of the chaos")
	workers = flag.Int("chaos.workers", 6, "workers of each client")
	settle  = flag.Duration("chaos.settle", 3*time.Second, "how long a replica must be healthy to count as the one that lives, if the chaos is long")
	plans   = flag.Bool("chaos.plan", false, "log the schedule too")
)

func TestMain(m *testing.M) {
	if chaos.Child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's client logs what is done to it
	leak.Main(m)
}

// bound is the detector's, of Dialer's zero value, with a little for the machine.
const bound = 6 * time.Second

// run runs a plan, logs the report, and returns it.
func run(t *testing.T, plan chaos.Plan) chaos.Report {
	t.Helper()
	plan.Seed = *seed
	cfg := chaos.Config{Seed: *seed, Workers: *workers, Pause: time.Millisecond, Bound: bound}
	if *long > 0 {
		plan.Length, plan.Hold, plan.Gap, plan.Settle = *long, 8*time.Second, 3*time.Second, *settle
	} else {
		cfg.Dialer.DetectWithin = time.Second // so that there is time for many faults
	}
	cfg.Steps, cfg.Length = plan.Steps(), plan.Length
	report := chaos.Run(t, cfg)
	if *plans {
		for _, s := range cfg.Steps {
			t.Log(s)
		}
	}
	t.Log("\n" + report.String())
	return report
}

// What rpcx promises while at least one replica of three lives.
func TestChaos(t *testing.T) {
	leak.Check(t)
	report := run(t, chaos.Plan{
		Length: 14 * time.Second, Faults: chaos.Honest(),
		Hold: 1500 * time.Millisecond, Gap: 500 * time.Millisecond, Settle: time.Second,
	})
	require.Zero(t, report.Unknown)
	require.Zero(t, report.Goroutines)
	for _, r := range report.Tallies {
		require.Positive(t, r.Idempotent, r.Client)
		require.Positive(t, r.Deposits, r.Client)
		if !strings.HasPrefix(r.Client, "rpcx") {
			continue
		}
		require.Zero(t, r.IdempotentFailed, "%s: idempotent calls failed", r.Client)
		require.Zero(t, r.Hung, "%s: longest call %v", r.Client, r.Longest)
		safe(t, r)
	}
}

// Nobody promises right answers on a wire that changes bytes and has no checksum.
// What remains is this.
func TestChaosCorrupted(t *testing.T) {
	leak.Check(t)
	report := run(t, chaos.Plan{
		Length: 5 * time.Second, Faults: []chaos.Fault{chaos.Corrupt},
		Hold: 1500 * time.Millisecond, Gap: 500 * time.Millisecond, Settle: time.Second,
	})
	require.Zero(t, report.Goroutines)
	for _, r := range report.Tallies {
		if !strings.HasPrefix(r.Client, "rpcx") {
			continue
		}
		require.Zero(t, r.CutOff, r.Client)
		require.Zero(t, r.Duplicates, r.Client)
		require.Zero(t, r.NotSentRan, r.Client)
	}
}

// safe is what holds for calls that are not idempotent, and of all reports.
func safe(t *testing.T, r chaos.Tally) {
	t.Helper()
	require.Zero(t, r.Duplicates, r.Client)
	require.Zero(t, r.DoneNotRun, "%s: calls that never ran were reported as run", r.Client)
	require.Zero(t, r.NotSentRan, "%s: calls that ran were reported as not sent", r.Client)
	for class := range r.Failures {
		require.NotContains(t, class.Kind, "unclear", r.Client)
		require.NotContains(t, class.Kind, "wrong answer", r.Client)
	}
}
