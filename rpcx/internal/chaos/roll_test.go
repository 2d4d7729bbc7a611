package chaos_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

var rounds = flag.Int("chaos.rounds", 1, "how often each server is restarted by TestRollingRestart")

// Five servers are restarted one by one under load. With our server no call fails
// that is idempotent or not; with stock servers none that is idempotent.
func TestRollingRestart(t *testing.T) {
	if isShort() {
		t.Parallel()
	}
	for name, orderly := range map[string]bool{"rpcx.Serve": true, "stock": false} {
		t.Run(name, func(t *testing.T) {
			together(t)
			cfg := chaos.Config{
				Workers: *workers, Pause: *pause, Work: work(), Deposits: *share, Bound: bound, Patience: 2 * time.Second,
				Dialer: rpcx.Dialer{DetectionTime: time.Second},
			}
			roll := chaos.Roll{Servers: 5, Rounds: *rounds, Orderly: orderly, Settle: 400 * time.Millisecond}
			if *rounds > 1 { // so that one is in use again before it is the first again
				roll.Settle = 2 * time.Second
			}
			report := chaos.RunRoll(t, cfg, roll)
			t.Log("\n" + report.String())
			require.Zero(t, report.Unknown)
			requireNoneLeft(t, report)
			for _, r := range report.Ours() {
				require.Positive(t, r.Idempotent, r.Client)
				require.Positive(t, r.Deposits, r.Client)
				require.Empty(t, r.Broken())
				if orderly {
					require.Zero(t, r.DepositsFailed, r.Client)
				}
			}
		})
	}
}
