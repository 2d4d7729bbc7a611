package chaos_test

import (
	"flag"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

var (
	long    = flag.Duration("chaos", 0, "how long the chaos lasts; 0 for a short one")
	seed    = flag.Uint64("chaos.seed", 1, "the seed of the chaos")
	workers = flag.Int("chaos.workers", 6, "workers of each client")
	pause   = flag.Duration("chaos.pause", 0, "a worker's pause between calls; 0 for 1 ms if the chaos is long, else 25 ms")
	settle  = flag.Duration("chaos.settle", 3*time.Second, "how long a replica must be healthy to count as the one that lives, if the chaos is long")
	share   = flag.Int("chaos.deposits", 5, "how many of each ten calls are not idempotent")
	lone    = flag.Bool("chaos.alone", false, "leave net/rpc's clients out")
	budget  = flag.Float64("chaos.budget", 0, "Retry.Budget of the rpcx clients")
	only    = flag.String("chaos.faults", "", "the faults, separated by commas; empty for all that fit the test")
	down    = flag.Int("chaos.down", 2, "how many replicas may be out of order at a time, if the chaos is long")
	logs    = flag.Bool("chaos.log", false, "log the breakers and the convictions too")
	stock   = flag.Bool("chaos.stock", false, "have TestChaosServe run against stock servers, to compare")
	plans   = flag.Bool("chaos.plan", false, "log the schedule too")
)

func TestMain(m *testing.M) {
	if chaos.Child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's client logs what is done to it
	flag.Parse()
	if *pause == 0 {
		*pause = time.Millisecond
		if isShort() {
			*pause = 25 * time.Millisecond // so that the machine has time for other tests
		}
	}
	leak.Main(m)
}

// together lets a short run wait beside the others. Its goroutines cannot be told from theirs
// then, and are left to leak.Main. A long run is alone.
func together(t *testing.T) {
	if isShort() {
		t.Parallel()
	} else {
		leak.Check(t)
	}
}

func isShort() bool { return *long == 0 && *rounds == 1 }

// work is what a call takes the servers. In a short run there are few calls, each of which
// takes longer, so that a fault meets as many under way.
func work() time.Duration {
	if isShort() {
		return 15 * time.Millisecond
	}
	return 0
}

// requireNoneLeft checks a report of a run that was alone.
func requireNoneLeft(t *testing.T, report chaos.Report) {
	t.Helper()
	if !isShort() {
		require.Zero(t, report.Goroutines)
	}
}

// bound is the detector's, of Dialer's zero value, with a little for the machine.
const bound = 6 * time.Second

// run runs a plan, logs the report, and returns it.
func run(t *testing.T, plan chaos.Plan, d rpcx.Dialer, alone bool) chaos.Report {
	t.Helper()
	return runWith(t, plan, chaos.Config{Dialer: d, Alone: alone})
}

func runWith(t *testing.T, plan chaos.Plan, cfg chaos.Config) chaos.Report {
	t.Helper()
	plan.Seed = *seed
	cfg.Seed, cfg.Workers, cfg.Pause, cfg.Deposits, cfg.Alone = *seed, *workers, *pause, *share, cfg.Alone || *lone
	cfg.Work = work()
	cfg.Bound, cfg.Patience = max(bound, cfg.Live+time.Second), 10*time.Second
	if *long > 0 {
		plan.Length, plan.Hold, plan.Gap, plan.Settle, plan.Down = *long, 8*time.Second, 3*time.Second, *settle, *down
	} else {
		// So that there is time for many faults.
		cfg.Dialer.DetectionTime, cfg.Patience = time.Second, 2*time.Second
	}
	cfg.Dialer.Retry.Budget = *budget
	if *only != "" {
		plan.Faults = chosen(t)
	}
	if *logs {
		cfg.Dialer.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
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

// chosen returns the faults that the flag names.
func chosen(t *testing.T) []chaos.Fault {
	t.Helper()
	var out []chaos.Fault
	for _, name := range strings.Split(*only, ",") {
		all := append(chaos.Honest(), chaos.Corrupt)
		i := slices.IndexFunc(all, func(f chaos.Fault) bool { return f.String() == name })
		require.GreaterOrEqual(t, i, 0, "there is no fault %q", name)
		out = append(out, all[i])
	}
	return out
}

// What rpcx promises while at least one replica of three lives. The short run
// takes them down one by one.
func TestChaos(t *testing.T) {
	together(t)
	report := run(t, chaos.Plan{
		Length: 9 * time.Second, Faults: chaos.Honest(), Down: 1,
		Hold: 900 * time.Millisecond, Gap: 200 * time.Millisecond, Settle: 200 * time.Millisecond,
	}, rpcx.Dialer{}, false)
	if *only == "" {
		require.Len(t, report.Reacts, len(chaos.Honest()), "every fault had its turn")
	}
	require.Zero(t, report.Unknown)
	requireNoneLeft(t, report)
	for _, r := range report.Ours() {
		require.Positive(t, r.Idempotent, r.Client)
		require.Positive(t, r.Deposits, r.Client)
		require.Empty(t, r.Broken())
	}
}

// With rpcx.Serve at the other end, only a call whose server was killed meanwhile may be one
// that has perhaps run.
func TestChaosServe(t *testing.T) {
	together(t)
	faults := chaos.Honest()
	report := runWith(t, chaos.Plan{
		Length: 9 * time.Second, Faults: faults, Down: 1,
		Hold: 900 * time.Millisecond, Gap: 200 * time.Millisecond, Settle: 200 * time.Millisecond,
	}, chaos.Config{Serve: !*stock, Live: 20 * time.Second, Alone: true})
	require.Zero(t, report.Unknown)
	requireNoneLeft(t, report)
	for _, r := range report.Ours() {
		require.Positive(t, r.Deposits, r.Client)
		if strings.Contains(*only, "corrupt") { // then answers may be wrong
			require.Zero(t, r.Duplicates+r.NotSentRan, r.Client)
		} else {
			require.Empty(t, r.Broken())
		}
		if !*stock {
			require.Zero(t, r.Unexplained, r.Client)
		}
	}
}

// Nobody promises right answers on a wire that changes bytes and has no checksum.
// What remains is this. A request whose number was changed to an earlier one has no
// reply, so calls have a timeout, by which they must end. net/rpc's own clients stay
// out of it, for package gob panics over some streams, and that would be the end of
// the test.
func TestChaosCorrupted(t *testing.T) {
	together(t)
	report := run(t, chaos.Plan{
		Length: 3 * time.Second, Faults: []chaos.Fault{chaos.Corrupt},
		Hold: 1500 * time.Millisecond, Gap: 300 * time.Millisecond, Settle: 300 * time.Millisecond,
	}, rpcx.Dialer{CallTimeout: 2 * time.Second}, true)
	requireNoneLeft(t, report)
	for _, r := range report.Ours() {
		require.Zero(t, r.CutOff, r.Client)
		require.Zero(t, r.Duplicates, r.Client)
		require.Zero(t, r.NotSentRan, r.Client)
	}
}
