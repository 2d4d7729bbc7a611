//go:build unix

package realworld

import (
	"bytes"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

// pid returns the process of the host's plugin.
func pid(t *testing.T, host *process) int {
	t.Helper()
	n, err := strconv.Atoi(host.ask("pid"))
	require.NoError(t, err)
	return n
}

// Calls in both directions, a plugin that is killed and replaced, and its end with its host.
func TestPlugin(t *testing.T) {
	leak.Check(t)
	want := []string{
		"paragraph 1 map[a:2 b:1], paragraph 2 map[c:1], document map[a:2 b:1 c:1]",
		"error: the text is empty",
		"error: rpc: can't find method Text.Translate",
		"hello world of net/rpc",
		"error: the host says: no value of where",
		"map[hello world:50]",
		"the plugin has failed",
		"hello world",
		"the plugin: exit status 0",
	}
	same(t, want, func(t *testing.T, variant string) []string {
		host := start(t, variant, "plugin", "host")
		plugin := pid(t, host)
		out := []string{
			host.ask("count a b a|c"),
			host.ask("count "),
			host.ask("Translate x"),
			host.ask("expand hello $who of $what"),
			host.ask("expand $where"),
			host.ask("all hello $who"),
		}
		require.NoError(t, syscall.Kill(plugin, syscall.SIGKILL))
		out = append(out, host.ask("count a"), host.ask("expand hello $who"))
		return append(out, host.rest()...)
	})
}

// A plugin that hangs is replaced. With net/rpc, its host hangs, for the 40 s after which yamux
// gives up or for ever.
func TestPluginIsFrozen(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, variant string) {
		host := start(t, variant, "plugin", "host")
		require.Equal(t, "hello world", host.ask("expand hello $who"))
		frozen := pid(t, host)
		require.NoError(t, syscall.Kill(frozen, syscall.SIGSTOP))
		require.Eventually(t, func() bool { // it is not ours to wait for
			state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(frozen)).Output()
			return err == nil && bytes.HasPrefix(state, []byte("T"))
		}, aWhile, 10*time.Millisecond)
		host.say("expand hello $who")
		line, answered := host.lineWithin(15 * time.Second)
		if !answered { // it is the host's child still
			require.NoError(t, syscall.Kill(frozen, syscall.SIGKILL))
		}
		require.Equal(t, variant == ours, answered)
		if answered {
			require.Equal(t, "the plugin has failed", line)
			require.Equal(t, "hello world", host.ask("expand hello $who"))
			require.Equal(t, []string{"the plugin: exit status 0"}, host.rest())
		}
	})
}
