//go:build unix

package realworld

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

// daemon starts a daemon, and waits until it serves.
func daemon(t *testing.T, variant, socket string) *process {
	t.Helper()
	d := start(t, variant, "daemon", "-socket", socket, "serve")
	require.Equal(t, "ready", d.line())
	return d
}

// The command line, one process a command and then one for several, until the daemon is told to
// stop.
func TestDaemon(t *testing.T) {
	leak.Check(t)
	want := []string{
		"daemon: a job needs a name",
		"job 1",
		"job 2",
		"1 backup done map[HOME:/]",
		"2 jobs",
		"1 backup done map[HOME:/]",
		"2 sync running map[HOME:/]",
		"the daemon says: no job 3",
		"2 sync canceled map[HOME:/]",
		`error: no command "help"`,
		"job 3",
		"3 index done map[HOME:/]",
		"stopped",
	}
	same(t, want, func(t *testing.T, variant string) []string {
		socket := filepath.Join(t.TempDir(), "s")
		d := daemon(t, variant, socket)
		var out []string
		for _, command := range []string{"submit  10ms", "submit backup 10ms", "submit sync 1h", "wait 1", "list"} {
			out = append(out, output(t, variant, "daemon", append([]string{"-socket", socket}, strings.Split(command, " ")...)...)...)
		}
		shell := start(t, variant, "daemon", "-socket", socket, "shell")
		shell.say("wait 3", "cancel 2", "help", "submit index 50ms", "wait 3")
		out = append(out, shell.rest()...)
		d.signal(syscall.SIGTERM)
		return append(out, d.rest()...)
	})
}

// A shell outlives its daemon. With net/rpc, it is of no use any more when the daemon is back.
func TestDaemonIsKilledAndStartedAgain(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, variant string) {
		socket := filepath.Join(t.TempDir(), "s")
		d := daemon(t, variant, socket)
		shell := start(t, variant, "daemon", "-socket", socket, "shell")
		require.Equal(t, "0 jobs", shell.ask("list"))
		d.signal(syscall.SIGKILL)
		<-d.ended
		require.Contains(t, shell.ask("list"), "error: ")
		daemon(t, variant, socket)
		if variant == ours {
			require.Eventually(t, func() bool { return shell.ask("list") == "0 jobs" }, aWhile, 50*time.Millisecond)
			require.Equal(t, "job 1", shell.ask("submit backup 1h"))
			return
		}
		for range 10 {
			require.Equal(t, "error: connection is shut down", shell.ask("list"))
			time.Sleep(200 * time.Millisecond) // real time: it does not recover
		}
	})
}

// With net/rpc, a daemon that hangs has its command line hang: the one that waits for a job, and
// the one that connects.
func TestDaemonIsFrozen(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, variant string) {
		socket := filepath.Join(t.TempDir(), "s")
		d := daemon(t, variant, socket)
		shell := start(t, variant, "daemon", "-socket", socket, "shell")
		shell.say("submit long 1h", "wait 1")
		require.Equal(t, "job 1", shell.line())
		_, ended := shell.lineWithin(5 * time.Second)
		require.False(t, ended, "a job that takes long is waited for")
		d.freeze()
		list := start(t, variant, "daemon", "-socket", socket, "list")
		if variant == stock {
			_, answered := list.lineWithin(10 * time.Second)
			require.False(t, answered)
			_, answered = shell.lineWithin(0)
			require.False(t, answered)
			return
		}
		require.Contains(t, list.line(), "daemon: ")
		<-list.ended
		require.Equal(t, 1, list.status)
		require.Contains(t, shell.line(), "peer does not respond")
		d.signal(syscall.SIGCONT)
		require.Eventually(t, func() bool { return shell.ask("list") == "1 jobs" }, aWhile, 50*time.Millisecond)
		require.Equal(t, "1 long running map[HOME:/]", shell.line())
	})
}
