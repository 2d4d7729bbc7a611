package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// good is a report of a client that kept its promise, in spite of deposits that
// failed with their fate unknown.
func good() *report {
	return &report{
		client: "rpcx", bound: 5 * time.Second, calls: 100, audited: true,
		onceFailed: [3]int{maybeDone: 2, surelyNot: 1},
		routed:     []lap{{"A, killed", time.Second, true}},
		returned:   []lap{{"A, restarted", time.Second, true}},
	}
}

func TestBrokenPromises(t *testing.T) {
	require.NoError(t, good().verdict())
	for _, c := range []struct {
		harm func(r *report)
		want string
	}{
		{func(r *report) { r.calls = 0 }, "no call was made"},
		{func(r *report) { r.idemFailed = 3 }, "idempotent calls failed: 3"},
		{func(r *report) { r.hung = 1 }, "calls that took longer than 5s: 1"},
		{func(r *report) { r.wrong = 1 }, "wrong replies: 1"},
		{func(r *report) { r.audit.duplicates = 1 }, "duplicate executions of deposits: 1"},
		{func(r *report) { r.audit.lost = 1 }, "deposits reported done and never executed: 1"},
		{func(r *report) { r.audit.ghosts = 1 }, "deposits reported not sent and yet executed: 1"},
		{func(r *report) { r.returned[0].ok = false }, "never used again: A, restarted"},
	} {
		r := good()
		c.harm(r)
		require.EqualError(t, r.verdict(), "rpcx broke its promise: "+c.want)
	}
	r := good()
	r.idemFailed, r.hung, r.sample = 1, 2, errors.New("EOF")
	require.EqualError(t, r.verdict(),
		"rpcx broke its promise: idempotent calls failed: 1; calls that took longer than 5s: 2 (one failure: EOF)")
}

func TestReportsSideBySide(t *testing.T) {
	plain, x := good(), good()
	plain.client, plain.hung, plain.routed[0].ok = "plain", 7, false
	plain.p50, plain.p99, plain.max = 1234*time.Microsecond, 56789*time.Microsecond, 6012*time.Millisecond
	var out bytes.Buffer
	writeReports(&out, plain, x)
	rows := cells(out.String())
	require.Equal(t, []string{"plain", "rpcx"}, rows[""])
	require.Equal(t, []string{"7", "0"}, rows["hung (over 5s)"])
	require.Equal(t, []string{"2", "2"}, rows["failed deposits, perhaps executed"])
	require.Equal(t, []string{"1.23ms", "0s"}, rows["latency, p50"])
	require.Equal(t, []string{"57ms", "0s"}, rows["latency, p99"])
	require.Equal(t, []string{"6.01s", "0s"}, rows["latency, max"])
	require.Equal(t, []string{"never", "1s"}, rows["time to route around A, killed"])
	require.Equal(t, []string{"1s", "1s"}, rows["time to return to A, restarted"])

	x.audited = false
	out.Reset()
	writeReports(&out, x)
	require.NotContains(t, cells(out.String()), "duplicate executions")
}

// cells reads a printed table: columns are three blanks or more apart.
func cells(text string) map[string][]string {
	rows := make(map[string][]string)
	for line := range strings.Lines(text) {
		var row []string
		for f := range strings.SplitSeq(strings.TrimRight(line, " \n"), "   ") {
			if f != "" || len(row) == 0 {
				row = append(row, strings.TrimSpace(f))
			}
		}
		if len(row) > 1 {
			rows[row[0]] = row[1:]
		}
	}
	return rows
}

func TestDepositsInDoubt(t *testing.T) {
	require.Contains(t, resolved(1), "1 deposit was under way on a connection that broke")
	require.Contains(t, resolved(2), "2 deposits were under way")
	require.Contains(t, inDoubt(1), `1 deposit failed with "maybe executed": it was under way`)
	require.Contains(t, inDoubt(2), `2 deposits failed with "maybe executed": they were under way`)
}
