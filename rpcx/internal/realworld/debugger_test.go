//go:build unix

package realworld

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

// debug starts a debugger and its client.
func debug(t *testing.T, variant string) (server, client *process) {
	t.Helper()
	server = start(t, variant, "debugger", "serve")
	return server, start(t, variant, "debugger", "connect", server.line())
}

// A session: breakpoints, a program that runs until it is halted, errors, the end.
func TestDebugger(t *testing.T) {
	leak.Check(t)
	steps := []struct{ command, answer string }{
		{"state", "stopped"},
		{"break 4 300", "breakpoint 1 at line 4"},
		{"break 99", "error: could not find line 99"},
		{"break 2 50", "breakpoint 2 at line 2"},
		{"breakpoints", "1: line 4, hit 0 times; 2: line 2, hit 0 times"},
		{"continue", "breakpoint 2: line 2: i++"},
		{"print i", "i int = 50"},
		{"clear 2", "breakpoint 2 cleared, hit 1 times"},
		{"continue", "breakpoint 1: line 4: hundreds = append(hundreds, i)"},
		{"print i", "i int = 300"},
		{"print hundreds", "hundreds []int = [100 200]"},
		{"next", "stopped"},
		{"print hundreds", "hundreds []int = [100 200 300]"},
		{"print j", "error: could not find symbol value for j"},
		{"breakpoints", "1: line 4, hit 1 times"},
		{"clear 1", "breakpoint 1 cleared, hit 1 times"},
		{"clear 1", "error: no breakpoint with id 1"},
		{"breakpoints", ""},
		{"loop", "running"},
		{"break 5 0", "breakpoint 1 at line 5"},
		{"print i", "error: the program is running"},
		{"halt", "running"},
		{"stopped", "stopped"},
		{"clear 1", "breakpoint 1 cleared, hit 0 times"},
		{"continue", "exited"},
		{"continue", "continue: the program has exited with status 0"},
		{"help", `error: command "help" not available`},
		{"detach", "detached"},
	}
	var want []string
	for _, s := range steps {
		want = append(want, s.answer)
	}
	same(t, append(want, "detached"), func(t *testing.T, variant string) []string {
		server, client := debug(t, variant)
		var out []string
		for _, s := range steps {
			out = append(out, client.ask(s.command))
		}
		out = append(out, client.rest()...)
		return append(out, server.rest()...)
	})
}

// A program that runs for long is no failure. A debugger that hangs ends the calls that wait, which
// it does not with net/rpc. The client is patient with this one, as it refuses the second connection
// over which the client would ask whether it answers pings.
func TestDebuggerIsFrozen(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, variant string) {
		server, client := debug(t, variant)
		require.Equal(t, "running", client.ask("loop"))
		time.Sleep(8 * time.Second) // real time: three times as long as a silence may be
		require.Equal(t, "running", client.ask("state"))
		server.freeze()
		client.say("state", "stopped")
		first, answered := client.lineWithin(40 * time.Second)
		require.Equal(t, variant == ours, answered, first)
		if answered {
			require.Contains(t, first, "peer does not respond")
			require.Contains(t, client.line(), "peer does not respond")
		}
	})
}
