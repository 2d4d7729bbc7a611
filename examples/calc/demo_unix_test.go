//go:build unix

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processes are those whose arguments mention mark.
func processes(t *testing.T, mark string) []string {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "stat=", "-o", "args=", "-ww").Output()
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, mark) {
			found = append(found, line)
		}
	}
	return found
}

// hasFrozen reads the second column of ps.
func hasFrozen(processes []string) bool {
	for _, p := range processes {
		if strings.HasPrefix(strings.Fields(p)[1], "T") {
			return true
		}
	}
	return false
}

func requireNoProcess(t *testing.T, mark string) {
	t.Helper()
	require.Empty(t, processes(t, mark))
}

// atTheFreeze starts the demo, lets it come to the point where a replica is
// frozen, and sends it a signal.
func atTheFreeze(t *testing.T, dir string, sig os.Signal) (cmd *exec.Cmd, rest string) {
	cmd = demoCommand(t, dir, "-step", "300ms")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	lines := bufio.NewReader(stdout)
	for line := ""; !strings.Contains(line, "frozen (SIGSTOP)"); {
		line, err = lines.ReadString('\n')
		require.NoError(t, err, "the demo ended before the freeze")
	}
	require.Eventually(t, func() bool { return hasFrozen(processes(t, dir)) }, 3*time.Second, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(sig))
	text, err := io.ReadAll(lines)
	require.NoError(t, err)
	cmd.Wait()
	return cmd, string(text)
}

func TestInterruptedDemoReapsItsReplicas(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd, rest := atTheFreeze(t, dir, sig)
			require.Equal(t, 130, cmd.ProcessState.ExitCode())
			require.Contains(t, rest, "every replica is stopped")
			require.NotContains(t, rest, "kept its promise")
			requireNoProcess(t, dir)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left, "temporary files")
		})
	}
}

// The demo cannot reap its replicas when it is killed. They end all the same, the frozen one too.
func TestReplicasOfKilledDemoEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	atTheFreeze(t, dir, os.Kill)
	require.Eventually(t, func() bool { return len(processes(t, dir)) == 0 }, 10*time.Second, 20*time.Millisecond)
}
