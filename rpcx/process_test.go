package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

// underFault runs the same load and the same fault of one of three real servers
// through rpcx and through net/rpc by hand.
func underFault(t *testing.T, fault chaos.Fault) chaos.Report {
	t.Helper()
	report := chaos.Run(t, chaos.Config{
		Steps:   []chaos.Step{{At: 500 * time.Millisecond, Hold: 3 * time.Second, Fault: fault}},
		Length:  4 * time.Second,
		Workers: 4, Pause: 25 * time.Millisecond, Deposits: 5,
		Bound:  2500 * time.Millisecond,
		Dialer: rpcx.Dialer{DetectionTime: time.Second},
	})
	t.Logf("%v", report)
	return report
}

// kept is what rpcx promises while one replica of three lives.
func kept(t *testing.T, report chaos.Report) {
	t.Helper()
	for _, r := range report.Ours() {
		require.Positive(t, r.Idempotent, r.Client)
		require.Positive(t, r.Deposits, r.Client)
		require.Empty(t, r.Broken())
	}
}

func TestKilledProcess(t *testing.T) {
	t.Parallel()
	report := underFault(t, chaos.Kill)
	for _, r := range report.Theirs() {
		require.Positive(t, r.DepositsFailed, "the fault was one")
	}
	kept(t, report)
}
