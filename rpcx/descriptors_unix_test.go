//go:build unix

package rpcx_test

import (
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/subtest"
)

// descriptorsEnv makes the test below the child, and says where its server is.
const descriptorsEnv = "RPCX_DESCRIPTORS"

// Usher serves, and hangs up when told to.
type Usher struct {
	mu    sync.Mutex // protects following
	conns []net.Conn
}

func (u *Usher) Nod(n int, reply *int) error { *reply = n; return nil }

// Guests returns how many connections there are.
func (u *Usher) Guests(_ int, n *int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	*n = len(u.conns)
	return nil
}

// HangUp ends all connections but so many, the newest.
func (u *Usher) HangUp(but int, _ *int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.conns) > but {
		u.conns[0].Close()
		u.conns = u.conns[1:]
	}
	return nil
}

func (u *Usher) serve(lis net.Listener) {
	server := rpc.NewServer()
	if err := server.Register(u); err != nil {
		panic(err)
	}
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns = append(u.conns, conn)
		u.mu.Unlock()
		go func() {
			server.ServeConn(conn)
			u.mu.Lock()
			defer u.mu.Unlock()
			u.conns = slices.DeleteFunc(u.conns, func(c net.Conn) bool { return c == conn })
		}()
	}
}

// A process that runs out of file descriptors keeps using the connections that it has,
// and says so of those that it cannot make (kubernetes#24322).
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	if addr := os.Getenv(descriptorsEnv); addr != "" {
		withoutDescriptors(t, addr)
		return
	}
	var all subtest.Group
	defer all.Wait()
	for _, host := range []string{"127.0.0.1", "localhost"} { // a name takes descriptors, too
		all.Run(t, host, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer lis.Close()
			u := new(Usher)
			go u.serve(lis)
			defer u.HangUp(0, nil) //nolint:errcheck // it has none
			exe, err := os.Executable()
			require.NoError(t, err)
			_, port, err := net.SplitHostPort(lis.Addr().String())
			require.NoError(t, err)
			cmd := exec.Command(exe, "-test.run=^TestOutOfDescriptors$", "-test.v")
			cmd.Env = append(os.Environ(), descriptorsEnv+"="+net.JoinHostPort(host, port))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "--- PASS: TestOutOfDescriptors", "%s", out)
		})
	}
}

// setDescriptors sets how many descriptors there may be. Those above stay open; with
// three there is no other.
func setDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = n
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

func withoutDescriptors(t *testing.T, addr string) {
	d := rpcx.Dialer{Conns: 4}
	client, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	defer client.Close()
	nod := func() error { return client.CallContext(t.Context(), "Usher.Nod", 7, new(int)) }
	stats := func() rpcx.EndpointStats { return client.Stats().Endpoints[0] }
	require.NoError(t, nod())
	// The connection that asks how pings are taken has ended, too.
	full := func() bool { return stats().Conns == 4 && stats().Pings == rpcx.PingsAnswered }
	require.Eventually(t, full, 10*time.Second, 10*time.Millisecond)

	require.Eventually(t, func() bool {
		var guests int
		return client.Call("Usher.Guests", 0, &guests) == nil && guests == 4
	}, 10*time.Second, 10*time.Millisecond)

	hangUp := func(but int) {
		setDescriptors(t, 3)
		require.Eventually(t, func() bool {
			client.Call("Usher.HangUp", but, new(int)) //nolint:errcheck // its connection may be one of them
			return stats().Conns == but
		}, 10*time.Second, time.Millisecond)
	}
	hangUp(1)
	for range 100 {
		require.NoError(t, nod(), "over the connection that there is")
		time.Sleep(5 * time.Millisecond) // while the prober asks for more
	}
	require.Equal(t, 1, stats().Conns)
	setDescriptors(t, 64)
	require.Eventually(t, full, 10*time.Second, 10*time.Millisecond)

	hangUp(0)
	for range 20 { // each of them waits for its repetitions
		var ce *rpcx.CallError
		require.ErrorAs(t, nod(), &ce)
		require.Equal(t, rpcx.NotSent, ce.Sent)
		require.ErrorContains(t, ce, "too many open files")
	}
	require.Zero(t, stats().Trips)
	setDescriptors(t, 64)
	require.Eventually(t, func() bool { return nod() == nil }, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, stats().Trips)
}
