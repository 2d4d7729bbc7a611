package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "show the demo with each codec and server")

// demoCommand is the demo as a process of its own, with its temporary files and
// thereby its replicas' arguments marked by dir.
func demoCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TMP="+dir)
	return cmd
}

// secondly is the line of state that the demo prints each second.
var secondly = regexp.MustCompile(`(?m)^ +\d+ s  plain \d+/s  rpcx \d+/s  A .*  C \d+%$`)

// The demo itself, with the plot at a faster pace. Its status 0 says that rpcx
// kept its promise; the table must say the same.
func TestDemo(t *testing.T) {
	t.Parallel()
	for name, w := range wires {
		if !*long && name != "gob" && name != "jsonrpc Serve" { // the tests of processes have all of them
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append(w.serverArgs(), "-step", "600ms", "-bound", "4500ms", "-rate", "100")
			listed := name == "gob"
			if listed {
				args = append(args, "-resolver", "file", "-debug", "127.0.0.1:0")
			}
			cmd := demoCommand(t, dir, args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			t.Log(stdout.String())
			require.NoError(t, err, stderr.String())
			require.Empty(t, stderr.String())

			rows := cells(stdout.String())
			require.Equal(t, []string{"plain", "rpcx"}, rows[""])
			for _, row := range []string{
				"failed idempotent calls", "hung (over 4.5s)", "wrong replies", "duplicate executions",
				"reported done, never executed", "reported not sent, yet executed",
			} {
				require.Len(t, rows[row], 2, row)
				require.Equal(t, "0", rows[row][1], row)
			}
			require.NotEqual(t, "0", rows["failed idempotent calls"][0], "the plain client met the kill")
			require.NotEqual(t, "never", rows["time to route around A, killed"][1])
			require.NotEqual(t, "never", rows["time to return to A, restarted"][1])
			if canFreeze {
				require.NotEqual(t, "0", rows["hung (over 4.5s)"][0], "the plain client met the freeze")
				require.NotEqual(t, "never", rows["time to route around B, frozen"][1])
				require.NotEqual(t, "never", rows["time to return to B, continued"][1])
			}
			if w.server == "rpcx" {
				require.Equal(t, "0", rows["executed for nobody"][1])
			}
			if listed {
				require.Regexp(t, `^The live page of rpcx: http://127\.0\.0\.1:\d+/debug/rpcx\n`, stdout.String())
				require.NotEqual(t, "never", rows["time to route around C, unlisted"][1])
				require.NotEqual(t, "never", rows["time to return to C, listed"][1])
			}
			require.Contains(t, stdout.String(), "rpcx kept its promise")
			require.GreaterOrEqual(t, len(secondly.FindAllString(stdout.String(), -1)), 4, "one line a second, the replicas in order")

			requireNarrow(t, strings.ReplaceAll(stdout.String(), dir, "/tmp"))

			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left, "temporary files")
			requireNoProcess(t, dir)
		})
	}
}
