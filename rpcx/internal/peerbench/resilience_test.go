package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var briefly = timing{
	lead: 200 * time.Millisecond, hold: 300 * time.Millisecond, tail: 200 * time.Millisecond, settle: 10 * time.Millisecond, hung: 5 * time.Second, rate: 40,
}

// Every kind of scenario: of processes, of the network, and by order.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		if !slices.Contains([]string{"reset", "failing", "all down"}, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			outcomes, err := play(t.Context(), s, briefly, contenders)
			require.NoError(t, err)
			require.Len(t, outcomes, len(contenders))
			for _, o := range outcomes {
				require.Positive(t, o.idempotent, o.name)
				require.Positive(t, o.others, o.name)
				require.LessOrEqual(t, o.failed, o.idempotent, o.name)
				require.GreaterOrEqual(t, o.longest, work, o.name)
				if strings.HasPrefix(o.name, "rpcx") {
					require.Zero(t, o.duplicates, o.name)
				}
			}
			require.Positive(t, outcomes[0].failed, "net/rpc has nowhere to go")
			require.Len(t, resilienceTable(s, outcomes).rows, len(contenders))
		})
	}
}

func TestRollingRestart(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == "rolling" })
	ours := find("rpcx both ends")
	outcomes, err := play(t.Context(), scenarios[i], briefly, []contender{ours})
	require.NoError(t, err)
	require.Positive(t, outcomes[0].idempotent)
	require.Equal(t, none, outcomes[0].back.kind)
}

func TestOutcome(t *testing.T) {
	const ms = time.Millisecond
	r := &rig{scenario: scenarios[0], timing: briefly, faulty: 1000 * ms, healed: 3000 * ms}
	fault := errors.New("fault")
	records := []record{
		{square, 1, 900 * ms, 20 * ms, nil, 1},
		{square, 2, 1100 * ms, 20 * ms, fault, 0},  // failed
		{deposit, 3, 1200 * ms, 500 * ms, nil, 2},  // harmed, and the last
		{square, 4, 1300 * ms, 20 * ms, nil, 2},    // diverted
		{square, 5, 3100 * ms, 20 * ms, nil, 2},    // not the victim
		{square, 6, 3300 * ms, 20 * ms, nil, 1},    // back
		{deposit, 7, 3400 * ms, 6000 * ms, nil, 1}, // hung
	}
	o := r.outcome("x", records)
	require.Equal(t, outcome{
		name: "x", idempotent: 5, failed: 1, others: 2, hung: 1, longest: 6000 * ms, harmed: 3,
		divert: moment{200 * ms, some}, back: moment{320 * ms, some},
	}, o)
	require.Equal(t, 1, duplicates(records, map[uint64]int{1: 2, 3: 2, 7: 1}), "an idempotent call may run twice")

	records = append(records, record{square, 8, 2900 * ms, 20 * ms, fault, 0})
	require.Equal(t, never, r.outcome("x", records).divert.kind)
	require.Equal(t, never, r.outcome("x", records[:4]).back.kind)
}

// A peer is better if chance does not explain it, and in reaction only if it lets no more
// calls fail.
func TestLags(t *testing.T) {
	fine := outcome{name: "rpcx", idempotent: 1000, divert: moment{time.Second, some}, back: moment{time.Second, some}}
	peer := fine
	peer.name = "peer"
	set := fine
	set.name = "rpcx configured"
	lagsOf := func(outcomes ...outcome) (names []string) {
		for _, l := range lags("kill", outcomes) {
			names = append(names, l.measure)
		}
		return names
	}
	require.Empty(t, lagsOf(peer, fine))
	for _, c := range []struct {
		spoil func(*outcome)
		want  string
	}{
		{func(o *outcome) { o.failed = 5 }, failedIdempotent},
		{func(o *outcome) { o.failed = 4 }, ""}, // by chance
		{func(o *outcome) { o.duplicates = 1 }, duplicated},
		{func(o *outcome) { o.hung = 1 }, hung},
		{func(o *outcome) { o.othersFailed = 5 }, failedOthers},
		{func(o *outcome) { o.longest = time.Second }, longestCall},
		{func(o *outcome) { o.longest = 100 * time.Millisecond }, ""},
		{func(o *outcome) { o.divert.kind = never }, divert},
		{func(o *outcome) { o.back.kind = never }, comeback},
	} {
		mine := fine
		c.spoil(&mine)
		got := lags("kill", []outcome{peer, mine, set})
		if c.want == "" {
			require.Empty(t, got)
			continue
		}
		require.Len(t, got, 1, c.want)
		require.Equal(t, c.want, got[0].measure)
		require.Equal(t, "peer", got[0].by)
		require.Equal(t, []string{"rpcx configured"}, got[0].level)
		hasty := peer // to fail at once is easy
		hasty.failed = 100
		if c.want == duplicated || c.want == hung {
			require.Equal(t, []string{c.want}, lagsOf(hasty, mine))
		} else {
			require.Empty(t, lagsOf(hasty, mine), c.want)
		}
	}
	mine, stayed := fine, peer
	mine.back.kind, stayed.divert.kind = never, never
	require.Empty(t, lagsOf(stayed, mine), "a client that has never left has nowhere to return from")

	aim := lagAim([]lag{{reason: "why"}, {}})
	require.False(t, aim.met())
	require.Equal(t, 1.0, aim.got)
	require.True(t, lagAim(nil).met())
}

// Duplicates and hung calls have no excuse. Everything else that can be worse has one.
func TestReasons(t *testing.T) {
	for _, s := range scenarios {
		for _, m := range criteria {
			excused := m.name != duplicated && m.name != hung
			require.Equal(t, excused, reasonFor(s.name, m.name) != "", "%s %s", s.name, m.name)
		}
	}
	names := make(map[string]bool)
	for _, s := range scenarios {
		names[s.name] = true
	}
	for key := range reasons {
		require.True(t, key[0] == "" || names[key[0]], key[0])
	}
}

// A contender whose replies are wrong has no outcome.
func TestWrongRepliesHaveNoOutcome(t *testing.T) {
	l := startLoad(t.Context(), liar{}, 0, 1000, time.Now())
	require.Eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.records) > 0 }, 10*time.Second, time.Millisecond)
	l.halt()
	_, err := l.finish(t.Context(), time.Minute)
	require.ErrorIs(t, err, errWrong)
}
