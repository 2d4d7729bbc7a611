package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/rpc"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var wires = map[string]wire{
	"gob":     {codec: "gob"},
	"jsonrpc": {codec: "jsonrpc"},
	"http":    {codec: "gob", http: true},

	"gob Serve":     {codec: "gob", server: "rpcx"},
	"jsonrpc Serve": {codec: "jsonrpc", server: "rpcx"},
}

// startReplicas starts real processes that end with the test.
func startReplicas(t *testing.T, w wire, names ...string) fleet {
	f, err := startFleet(context.Background(), w, 0, t.TempDir(), t.Output(), names...)
	require.NoError(t, err)
	t.Cleanup(f.kill)
	return f
}

func TestCallThroughProcesses(t *testing.T) {
	for name, w := range wires {
		t.Run(name, func(t *testing.T) {
			f := startReplicas(t, w, "A", "B")
			for _, c := range []struct {
				expression, stdout, stderr string
				status                     int
			}{
				{"7*8", "56\n", "", 0},
				{"-(1+2)*3/4", "-2.25\n", "", 0},
				{"1/0", "", "calc: 1/0: division by zero\n", 1},
				{strings.Repeat("9", 300) + "*" + strings.Repeat("9", 300), "", "result out of range\n", 1},
			} {
				var stdout, stderr bytes.Buffer
				args := append([]string{"call", "-servers", strings.Join(f.addrs(), ",")}, w.args()...)
				require.Equal(t, c.status, run(append(args, "--", c.expression), &stdout, &stderr))
				require.Equal(t, c.stdout, stdout.String())
				require.True(t, strings.HasSuffix(stderr.String(), c.stderr), stderr.String())
			}
		})
	}
}

func TestLoadThroughProcesses(t *testing.T) {
	t.Parallel()
	for name, w := range wires {
		for _, client := range []string{"", "-plain"} {
			t.Run(name+client, func(t *testing.T) {
				t.Parallel()
				f := startReplicas(t, w, "A", "B")
				var stdout, stderr bytes.Buffer
				args := append([]string{"load", "-servers", strings.Join(f.addrs(), ","), "-for", "300ms"}, w.args()...)
				if client != "" {
					args = append(args, client)
				}
				require.Equal(t, 0, run(args, &stdout, &stderr), stderr.String())
				rows := cells(stdout.String())
				require.NotEqual(t, []string{"0"}, rows["calls"])
				for _, row := range []string{"failed idempotent calls", "hung (over 5s)", "wrong replies"} {
					require.Equal(t, []string{"0"}, rows[row], stdout.String())
				}
				runs, err := executions(f.journals()...)
				require.NoError(t, err)
				require.NotEmpty(t, runs)
				for id, at := range runs {
					require.Len(t, at, 1, id)
				}
			})
		}
	}
}

// A load that fails says so by its status, and what failed.
func TestLoadWithoutServersFails(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := lis.Addr().String()
	require.NoError(t, lis.Close())
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run([]string{"load", "-plain", "-servers", addr, "-for", "50ms"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "plain broke its promise: ")
	require.Contains(t, stderr.String(), "(one failure: not sent: ")
}

func TestReplicaComesBackOnItsPort(t *testing.T) {
	f := startReplicas(t, wires["gob"], "A")
	a := f[0]
	addr, before := a.addr, a.done
	p := newPlain(wires["gob"], f.addrs())
	defer p.Close()
	var r Answer
	require.NoError(t, p.Call("Calc.Add", Args{1, 2}, &r))

	a.kill()
	<-before // reaped
	a.kill() // harmless
	require.Error(t, p.Call("Calc.Add", Args{1, 2}, &r), "the connection broke")
	err := p.Call("Calc.Add", Args{1, 2}, &r)
	require.ErrorIs(t, err, errNotSent, "redial is refused")

	require.NoError(t, a.start(context.Background()))
	require.Equal(t, addr, a.addr)
	require.NoError(t, p.Call("Calc.Add", Args{1, 2}, &r))
	require.Equal(t, Answer{Value: 3, Replica: "A"}, r)
	require.Equal(t, []usageOf{{addr: addr, picks: 4}}, p.usage())
}

func TestReplicaThatCannotListen(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	var stderr bytes.Buffer
	r := &replica{name: "A", addr: lis.Addr().String(), wire: wires["gob"], stderr: &stderr}
	err = r.start(context.Background())
	require.EqualError(t, err, "replica A ended before it listened on "+r.addr)
	require.Contains(t, stderr.String(), "calc: listen tcp "+r.addr)
	require.Nil(t, r.cmd)
}

func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := startFleet(ctx, wires["gob"], 0, t.TempDir(), t.Output(), "A", "B")
	require.ErrorIs(t, err, context.Canceled)
}

// Closing a replica's input is how a dead parent ends it.
func TestReplicaEndsWithItsInput(t *testing.T) {
	f := startReplicas(t, wires["gob"], "A")
	require.NoError(t, f[0].stdin.Close())
	select {
	case <-f[0].done:
	case <-time.After(startTimeout):
		t.Fatal("the replica outlives its input")
	}
}

func TestPlainClientAfterClose(t *testing.T) {
	f := startReplicas(t, wires["gob"], "A")
	p := newPlain(wires["gob"], f.addrs())
	var r Answer
	require.NoError(t, p.Call("Calc.Sub", Args{3, 2}, &r))
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Call("Calc.Sub", Args{3, 2}, &r), rpc.ErrShutdown)
}

// stuck is a client whose calls never return, not even when it is closed.
type stuck struct{}

func (stuck) Call(string, any, any) error { select {} }
func (stuck) Close() error                { return errors.New("no") }

func TestCallThatNeverReturnsCountsAsHung(t *testing.T) {
	t.Parallel()
	l := newLoad("stuck", stuck{}, loadConfig{workers: 2, rate: 1000, bound: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	l.start(ctx)
	require.Eventually(t, func() bool { _, _, open := l.tally.progress(); return open == 2 }, 5*time.Second, time.Millisecond)
	cancel()
	l.finish(ctx)
	r := l.report()
	require.Equal(t, []int{2, 2}, []int{r.calls, r.hung})
	require.EqualError(t, r.verdict(), "stuck broke its promise: calls that took longer than 1ms: 2")
}
