package main

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

var (
	errNo    = &rpcx.CallError{Sent: rpcx.NotSent, Err: io.EOF}
	errMaybe = &rpcx.CallError{Sent: rpcx.MaybeSent, Err: io.EOF}
)

func TestWhatAnErrorSaysOfExecution(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want rpcx.Sent
	}{
		{"server's own error", rpc.ServerError("division by zero"), rpcx.Executed},
		{"rpcx, not sent", errNo, rpcx.NotSent},
		{"rpcx, maybe", errMaybe, rpcx.MaybeSent},
		{"rpcx, wrapped", fmt.Errorf("deposit: %w", errNo), rpcx.NotSent},
		{"plain, dial failed", fmt.Errorf("%w: %w", errNotSent, io.EOF), rpcx.NotSent},
		{"plain, connection broke", io.ErrUnexpectedEOF, rpcx.MaybeSent},
		{"ErrShutdown proves nothing", rpc.ErrShutdown, rpcx.MaybeSent},
		{"anything else", errors.New("?"), rpcx.MaybeSent},
	} {
		require.Equal(t, c.want, sentOf(c.err), c.name)
	}
}

// play records one call that took d.
func play(t *tally, id string, d time.Duration, err error) {
	start := time.Unix(0, 0)
	t.begin(id, start)
	t.record(result{start: start, end: start.Add(d), id: id, err: err})
}

func TestTallyCounts(t *testing.T) {
	ta := newTally(time.Second)
	play(ta, "", time.Millisecond, nil)
	play(ta, "", time.Millisecond, io.EOF)
	play(ta, "d1", time.Millisecond, nil)
	play(ta, "d2", time.Millisecond, errNo)
	play(ta, "d3", time.Millisecond, errMaybe)
	play(ta, "", 2*time.Second, nil)    // hung, though it was answered
	play(ta, "", 2*time.Second, io.EOF) // hung, not also failed
	ta.begin("d4", time.Unix(0, 0))     // never comes back
	ta.begin("", time.Unix(0, 0))
	ta.record(result{wrong: true})

	calls, failed, open := ta.progress()
	require.Equal(t, []int{8, 3, 1}, []int{calls, failed, open})
	ta.settle()
	ta.record(result{id: "d4", err: io.EOF}) // too late to count
	r := ta.report()
	require.Equal(t, 9, r.calls)
	require.Equal(t, 1, r.idemFailed)
	require.Equal(t, [3]int{surelyNot: 1, maybeDone: 1}, r.onceFailed)
	require.Equal(t, 3, r.hung)
	require.Equal(t, 1, r.wrong)
	require.Equal(t, 2*time.Second, r.max)
	require.Equal(t, error(errMaybe), r.sample)
}

func TestAudit(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		runs int
		want audit
	}{
		{"done, ran once", nil, 1, audit{}},
		{"done, ran twice", nil, 2, audit{duplicates: 1}},
		{"done, ran three times", nil, 3, audit{duplicates: 2}},
		{"done, never ran", nil, 0, audit{lost: 1}},
		{"not sent, never ran", errNo, 0, audit{}},
		{"not sent, ran", errNo, 1, audit{ghosts: 1}},
		{"not sent, ran twice", errNo, 2, audit{duplicates: 1, ghosts: 1}},
		{"maybe, never ran", errMaybe, 0, audit{}},
		{"maybe, ran", errMaybe, 1, audit{}},
		{"maybe, ran twice", errMaybe, 2, audit{duplicates: 1}},
		{"server's error", rpc.ServerError("no"), 1, audit{}},
	} {
		ta := newTally(time.Second)
		play(ta, "d", 0, c.err)
		play(ta, "", 0, nil)
		runs := map[string][]time.Time{"another client's": make([]time.Time, 2)}
		if c.runs > 0 {
			runs["d"] = make([]time.Time, c.runs)
		}
		require.Equal(t, c.want, ta.check(runs), c.name)
	}
}

// A deposit that never came back is audited too.
func TestAuditOfHungDeposit(t *testing.T) {
	ta := newTally(time.Second)
	ta.begin("d", time.Unix(0, 0))
	ta.settle()
	require.Equal(t, audit{duplicates: 1}, ta.check(map[string][]time.Time{"d": make([]time.Time, 2)}))
	require.Equal(t, audit{}, ta.check(nil))
}

// A deposit that hangs, or fails, is executed for nobody from then on.
func TestAuditOfLateDeposits(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		took  time.Duration // 0 if it never comes back
		err   error
		runAt time.Duration
		want  int
	}{
		{"before it failed", 100 * ms, errMaybe, 99 * ms, 0},
		{"after it failed", 100 * ms, errMaybe, 101 * ms, 1},
		{"before it was done", 100 * ms, nil, 99 * ms, 0},
		{"done, and late", 3000 * ms, nil, 1001 * ms, 1},
		{"failed, and late", 3000 * ms, errMaybe, 1001 * ms, 1},
		{"hung, and in time", 0, nil, 999 * ms, 0},
		{"hung", 0, nil, 1001 * ms, 1},
	} {
		ta := newTally(time.Second)
		if c.took > 0 {
			play(ta, "d", c.took, c.err)
		} else {
			ta.begin("d", time.Unix(0, 0))
		}
		ta.settle()
		runs := map[string][]time.Time{"d": {time.Unix(0, 0).Add(c.runAt)}}
		require.Equal(t, audit{forNobody: c.want}, ta.check(runs), c.name)
	}
}

func TestReturnIsTheFirstCallThatBeganAfterIt(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	ta := newTally(time.Minute)
	answered := func(by string, start, end int) {
		ta.begin("", at(start))
		ta.record(result{start: at(start), end: at(end), replica: by})
	}
	_, ok := ta.returned("A")
	require.False(t, ok)
	ta.expect("A", at(100))
	answered("A", 50, 110) // had waited for it
	answered("B", 120, 130)
	_, ok = ta.returned("A")
	require.False(t, ok)
	answered("A", 140, 150)
	answered("A", 160, 170)
	took, ok := ta.returned("A")
	require.True(t, ok)
	require.Equal(t, 50*time.Millisecond, took)
}
