//go:build unix

package plugin

import (
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

const socketVar = "PLUGIN_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(socketVar); socket != "" {
		if err := serve(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// Greeter is the plugin's service.
type Greeter struct{}

// Greet greets.
func (Greeter) Greet(name string, reply *string) error {
	*reply = "hello " + name
	return nil
}

// Sleep takes its time.
func (Greeter) Sleep(d time.Duration, reply *string) error {
	time.Sleep(d) // a process of its own: what the method takes
	*reply = "slept"
	return nil
}

// serve is the plugin process. Each stream of its only connection is served by net/rpc.
func serve(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	session, err := yamux.Server(conn, nil)
	if err != nil {
		return err
	}
	if err := rpc.Register(Greeter{}); err != nil {
		return err
	}
	for {
		stream, err := session.Accept()
		if err != nil {
			return nil // the host has ended it
		}
		go rpc.ServeConn(stream)
	}
}

// greeter is the host's side of a plugin as its author writes it for go-plugin, whose
// interface hands it a *rpc.Client.
type greeter struct{ client *rpc.Client }

func (g greeter) Greet(name string) (reply string, err error) {
	err = g.client.Call("Greeter.Greet", name, &reply)
	return reply, err
}

// host starts a plugin.
func host(t *testing.T) (*yamux.Session, *os.Process) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	lis, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer lis.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), socketVar+"="+socket), os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	require.NoError(t, lis.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute)))
	conn, err := lis.Accept()
	require.NoError(t, err)
	session, err := yamux.Client(conn, nil)
	require.NoError(t, err)
	t.Cleanup(func() { session.Close() })
	return session, cmd.Process
}

// plug opens a stream to the plugin and makes a client of net/rpc of it.
func plug(t *testing.T, session *yamux.Session) *rpc.Client {
	t.Helper()
	stream, err := session.Open()
	require.NoError(t, err)
	std := rpcx.NewClient(stream).StandardClient()
	t.Cleanup(func() { std.Close() })
	return std
}

// A plugin of unmodified code is called through ours, over several streams at once.
func TestPluginOverYamux(t *testing.T) {
	t.Parallel()
	session, _ := host(t)
	var wg sync.WaitGroup
	for range 3 {
		g := greeter{plug(t, session)}
		for caller := range 4 {
			wg.Go(func() {
				for i := range 50 {
					name := fmt.Sprint(caller, "/", i)
					if got, err := g.Greet(name); err != nil || got != "hello "+name {
						t.Errorf("%q, %v", got, err)
					}
				}
			})
		}
	}
	wg.Wait()
	std := plug(t, session)
	require.Equal(t, rpc.ServerError("rpc: can't find method Greeter.Nope"), std.Call("Greeter.Nope", 1, nil))
	require.NoError(t, std.Close())
	require.Equal(t, rpc.ErrShutdown, std.Call("Greeter.Greet", "x", new(string)))
}

// A plugin that freezes ends its calls, with net/rpc's own client never and with yamux's
// keep-alive after 40 s, and one that dies does at once.
func TestPluginThatFreezesOrDies(t *testing.T) {
	for name, c := range map[string]struct {
		signal os.Signal
		within time.Duration
		want   func(*testing.T, error)
	}{
		"freezes": {syscall.SIGSTOP, 15 * time.Second, func(t *testing.T, err error) { require.ErrorIs(t, err, rpcx.ErrUnresponsive) }},
		"dies":    {syscall.SIGKILL, 5 * time.Second, func(t *testing.T, err error) { require.ErrorContains(t, err, "EOF") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session, process := host(t)
			std := plug(t, session)
			done := make(chan *rpc.Call, 4)
			for range cap(done) {
				std.Go("Greeter.Sleep", time.Hour, new(string), done)
			}
			time.Sleep(3 * time.Second) // real time: it answers pings beside them
			_, err := greeter{std}.Greet("x")
			require.NoError(t, err)
			begun := time.Now()
			require.NoError(t, process.Signal(c.signal))
			for range cap(done) {
				c.want(t, (<-done).Error)
			}
			require.Less(t, time.Since(begun), c.within)
			t.Log(time.Since(begun))
			require.Equal(t, rpc.ErrShutdown, std.Call("Greeter.Greet", "x", new(string)))
		})
	}
}
