package chaos_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

// netnsEnv says that this process has a network of its own.
const netnsEnv = "CHAOS_NETNS"

// The kernel drops packets: for a moment, and TCP sends them again, or for long.
// The test runs itself again in a network namespace, so that the machine's own
// network stays as it is. It fails in CI if it cannot.
func TestChaosPartition(t *testing.T) {
	if os.Getenv(netnsEnv) == "" {
		t.Parallel() // this process only waits
		inNamespace(t)
		return
	}
	leak.Check(t)
	ip(t, "ip link set lo up")
	ip(t, "ip rule add pref 100 lookup local") // behind those of cut
	ip(t, "ip rule del pref 0")
	steps := []chaos.Step{{At: 200 * time.Millisecond, Hold: 1300 * time.Millisecond, Victim: 0, Fault: chaos.Partition}}
	for at := 2 * time.Second; at < 2500*time.Millisecond; at += 100 * time.Millisecond {
		steps = append(steps, chaos.Step{At: at, Hold: 30 * time.Millisecond, Victim: 1, Fault: chaos.Partition})
	}
	report := chaos.Run(t, chaos.Config{
		Steps: steps, Length: 3 * time.Second, Workers: *workers, Deposits: *share, Pause: *pause, Work: work(), Bound: bound,
		Dialer: rpcx.Dialer{DetectionTime: time.Second},
		Cut:    cut,
	})
	again := retransmitted(t)
	t.Logf("\n%v%d segments sent again", report, again)
	require.Zero(t, report.Goroutines)
	for _, r := range report.Ours() {
		require.Positive(t, r.Idempotent, r.Client)
		require.Empty(t, r.Broken())
	}
	for _, r := range report.Theirs() {
		require.Greater(t, r.Longest, 500*time.Millisecond, "the fault was one")
	}
}

// retransmitted is how many segments TCP has sent again in this namespace.
func retransmitted(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/net/snmp")
	require.NoError(t, err)
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		switch {
		case fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			n, err := strconv.Atoi(fields[slices.Index(names, "RetransSegs")])
			require.NoError(t, err)
			return n
		}
	}
	require.FailNow(t, "no figures of TCP")
	return 0
}

// cut drops all packets to a host, and from it.
func cut(host string, off bool) error {
	verb := "del"
	if off {
		verb = "add"
	}
	return errors.Join(
		command("ip rule "+verb+" to "+host+" pref 1 blackhole"),
		command("ip rule "+verb+" from "+host+" pref 1 blackhole"),
	)
}

func ip(t *testing.T, line string) {
	t.Helper()
	require.NoError(t, command(line))
}

func command(line string) error {
	args := strings.Fields(line)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return errors.New(line + ": " + err.Error() + ": " + string(out))
	}
	return nil
}

// inNamespace runs the test in a process that has a network, and for those who
// are not root a user, of its own.
func inNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), netnsEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if _, err := exec.LookPath("ip"); err != nil && os.Getenv("CI") == "" {
		t.Skip("no iproute2 here")
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "" {
		t.Skip("no network namespace here: ", err)
	}
	t.Logf("%s", out)
	require.NoError(t, err)
}
