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

func TestBehind(t *testing.T) {
	fine := outcome{name: "fine", idempotent: 10, divert: moment{time.Second, some}}
	require.Empty(t, fine.behind([]outcome{fine}))
	slow := fine
	slow.divert.kind = never
	require.Len(t, slow.behind([]outcome{fine}), 1)
	quick := outcome{name: "quick to fail", idempotent: 10, failed: 10}
	require.Empty(t, fine.behind([]outcome{quick}), "to fail at once is no merit")
	require.Len(t, quick.behind([]outcome{fine}), 1)
}

// A contender whose replies are wrong has no outcome.
func TestWrongRepliesHaveNoOutcome(t *testing.T) {
	l := startLoad(t.Context(), liar{}, 0, 1000, time.Now())
	require.Eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.records) > 0 }, 10*time.Second, time.Millisecond)
	l.halt()
	_, err := l.finish(t.Context(), time.Minute)
	require.ErrorIs(t, err, errWrong)
}
