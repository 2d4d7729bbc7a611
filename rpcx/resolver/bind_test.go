package resolver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A bind is a BIND 9 name server with one zone, which update changes.
type bind struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
}

// needBind skips the test where BIND is missing, unless that is in CI.
func needBind(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"named", "nsupdate"} {
		_, err := exec.LookPath(tool)
		if err != nil && os.Getenv("CI") == "" {
			t.Skipf("%v; Debian has it in bind9 and bind9-dnsutils", err)
		}
		require.NoError(t, err)
	}
}

func startBind(t *testing.T) *bind {
	t.Helper()
	needBind(t)
	b := &bind{t: t, dir: t.TempDir(), port: freePort(t)}
	b.write("named.conf", `
options {
	directory "%[1]s";
	listen-on port %[2]s { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	managed-keys-directory "%[1]s";
	recursion no;
	dnssec-validation no;
};
controls { };
zone "calc.example" { type primary; file "calc.example.db"; allow-update { 127.0.0.1; }; };
`, b.dir, b.port)
	b.write("calc.example.db", `
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
a A 127.0.0.1
b A 127.0.0.2
c A 127.0.0.3
_added._tcp SRV 0 1 1234 a
_changed._tcp SRV 0 5 1235 b
_removed._tcp SRV 0 1 1234 a
_removed._tcp SRV 0 5 1235 b
_moved._tcp SRV 0 1 1236 c
_emptied._tcp SRV 0 1 1234 a
`)
	b.start()
	t.Cleanup(b.end)
	return b
}

func (b *bind) write(name, format string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, name), fmt.Appendf(nil, format, args...), 0o600))
}

// start starts the server and waits until it accepts connections.
func (b *bind) start() {
	b.t.Helper()
	log, err := os.Create(filepath.Join(b.dir, "log"))
	require.NoError(b.t, err)
	defer log.Close()
	b.cmd = exec.Command("named", "-g", "-n", "1", "-c", filepath.Join(b.dir, "named.conf")) //nolint:gosec // the test's own file
	b.cmd.Stderr = log
	require.NoError(b.t, b.cmd.Start())
	require.Eventually(b.t, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "named does not answer")
}

// kill ends the server as kill -9 does.
func (b *bind) kill() {
	b.cmd.Process.Kill() //nolint:errcheck // it may have been killed before
	b.cmd.Wait()         //nolint:errcheck // it was killed
}

// end kills the server and, if the test has failed, logs its output.
func (b *bind) end() {
	b.kill()
	if b.t.Failed() {
		text, err := os.ReadFile(filepath.Join(b.dir, "log"))
		b.t.Logf("named: %s %v", text, err)
	}
}

// update changes the zone by nsupdate.
func (b *bind) update(lines ...string) {
	b.t.Helper()
	script := fmt.Sprintf("server 127.0.0.1 %s\nzone calc.example\n%s\nsend\n", b.port, strings.Join(lines, "\n"))
	cmd := exec.CommandContext(b.t.Context(), "nsupdate")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	require.NoError(b.t, err, "%s", out)
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

// bindCases are changes of services in the zone, and what is delivered for each: endpoints, or
// an error.
var bindCases = map[string]struct {
	before []string // the first answer
	update []string // of nsupdate
	after  []string
	err    string
}{
	"added": {
		before: []string{"127.0.0.1:1234 0/1 a.calc.example"},
		update: []string{"update add _added._tcp.calc.example 1 SRV 0 5 1235 b.calc.example"},
		after:  []string{"127.0.0.1:1234 0/1 a.calc.example", "127.0.0.2:1235 0/5 b.calc.example"},
	},
	"changed": {
		before: []string{"127.0.0.2:1235 0/5 b.calc.example"},
		update: []string{
			"update delete _changed._tcp.calc.example SRV 0 5 1235 b.calc.example",
			"update add _changed._tcp.calc.example 1 SRV 2 7 1235 b.calc.example",
		},
		after: []string{"127.0.0.2:1235 2/7 b.calc.example"},
	},
	"removed": {
		before: []string{"127.0.0.1:1234 0/1 a.calc.example", "127.0.0.2:1235 0/5 b.calc.example"},
		update: []string{"update delete _removed._tcp.calc.example SRV 0 1 1234 a.calc.example"},
		after:  []string{"127.0.0.2:1235 0/5 b.calc.example"},
	},
	"moved": { // the target
		before: []string{"127.0.0.3:1236 0/1 c.calc.example"},
		update: []string{"update delete c.calc.example A", "update add c.calc.example 1 A 127.0.0.4"},
		after:  []string{"127.0.0.4:1236 0/1 c.calc.example"},
	},
	"emptied": {
		before: []string{"127.0.0.1:1234 0/1 a.calc.example"},
		update: []string{"update delete _emptied._tcp.calc.example SRV"},
		err:    "no such host",
	},
}

// A zone of a real server changes while it is watched, and the server is away for a while. The
// times are those from the change to its delivery; the TTL is a second.
func TestBind(t *testing.T) {
	t.Parallel() // it waits
	b := startBind(t)
	watches := make(map[string]*watched)
	for name := range bindCases {
		r, err := SRV("tcp", "_"+name+"._tcp.calc.example", "127.0.0.1:"+b.port)
		require.NoError(t, err)
		w := watch(t, r)
		defer w.stop() //nolint:errcheck // it says that it was canceled
		watches[name] = w
	}

	begin := time.Now()
	next := func(name, what string) delivery {
		t.Helper()
		var ds []delivery
		require.Eventually(t, func() bool { ds = watches[name].received(); return len(ds) > 0 }, 30*time.Second, 5*time.Millisecond, what)
		require.Len(t, ds, 1, what)
		t.Logf("%-10s %-22s seen after %v", name, what, ds[0].at.Sub(begin).Round(time.Millisecond))
		return ds[0]
	}
	set := func(name, what string, want []string) {
		t.Helper()
		d := next(name, what)
		require.NoError(t, d.err)
		var got []string
		for _, e := range d.set {
			got = append(got, fmt.Sprintf("%s %d/%d %s", e.Address, e.Priority, e.Weight, e.Metadata["host"]))
		}
		require.Equal(t, want, got, what)
	}

	var updates []string
	for name, c := range bindCases {
		set(name, "the first answer", c.before)
		updates = append(updates, c.update...)
	}
	begin = time.Now()
	b.update(updates...)
	for name, c := range bindCases {
		if c.err == "" {
			set(name, "the change", c.after)
		} else {
			require.ErrorContains(t, next(name, "the change").err, c.err)
		}
	}

	const name = "moved" // the others need not ask a server that is away
	for other, w := range watches {
		if other != name {
			w.stop() //nolint:errcheck // it says that it was canceled
			w.end <- nil
		}
	}
	begin = time.Now()
	b.kill()
	d := next(name, "the server killed")
	require.Nil(t, d.set, "the client keeps the last good set")
	require.ErrorContains(t, d.err, "127.0.0.1:"+b.port)
	begin = time.Now()
	b.start()
	set(name, "the server back", bindCases[name].after)
}
