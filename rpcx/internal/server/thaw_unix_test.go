//go:build unix

package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/subtest"
)

// thawFormat is the variable that makes this program a server of Counting, in that format.
const thawFormat = "RPCX_TEST_THAW_FORMAT"

// Counting is a service that counts what it runs.
type Counting struct {
	ran      atomic.Int64
	counters *Counters
}

// Do implements a method.
func (c *Counting) Do(_ int, ran *int64) error {
	*ran = c.ran.Add(1)
	return nil
}

// Late implements a method.
func (c *Counting) Late(_ int, late *int64) error {
	*late = c.counters.Late.Load()
	return nil
}

// TestThawServer is the server process of TestThawedServerRefusesWhatIsLate. It ends with its standard
// input.
func TestThawServer(t *testing.T) {
	format := os.Getenv(thawFormat)
	if format == "" {
		return // it is no such process
	}
	service := &Counting{counters: new(Counters)}
	lis, cfg := listen(t), config(t, service)
	cfg.NewCodec, cfg.Counters = codecs[format].server, service.counters
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // only its end counts
		cancel()
	}()
	fmt.Println("serving", lis.Addr())
	require.NoError(t, Serve(ctx, lis, cfg))
}

// thawServer starts that process.
func thawServer(t *testing.T, format string) (pid int, addr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestThawServer$", "-test.v")
	cmd.Env = append(os.Environ(), thawFormat+"="+format)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it may have ended
		io.Copy(io.Discard, stdout)         //nolint:errcheck // only its end counts
		require.NoError(t, cmd.Wait())
	})
	for out := bufio.NewScanner(stdout); out.Scan(); {
		if _, addr, ok := strings.Cut(out.Text(), "serving "); ok {
			return cmd.Process.Pid, addr
		}
	}
	require.Fail(t, "the server process did not start")
	return 0, ""
}

// stopped stops a process, and has it go on after a while.
func stopped(t *testing.T, pid int, d time.Duration, meanwhile func()) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	var status syscall.WaitStatus
	for !status.Stopped() {
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		require.NoError(t, err)
	}
	meanwhile()
	time.Sleep(d) // real time: it is the server's clock that counts
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// A process that was stopped does not run what has become late meanwhile, although all of
// it arrives as it goes on; and it runs the rest. So it is if the first request of the connection
// came to a process that was stopped, once it has been answered.
func TestThawedServerRefusesWhatIsLate(t *testing.T) {
	t.Parallel() // it waits
	const late = 200
	var all subtest.Group
	defer all.Wait()
	for format, c := range codecs {
		all.Run(t, format, func(t *testing.T) {
			pid, addr := thawServer(t, format)
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			p := newPeer(c.client(conn))
			stopped(t, pid, 2*time.Second, func() { p.start(t, codec.PingMethod, codec.RequestMeta{}, struct{}{}) })
			p.next(t, new(protocol.Health))
			p.ping(t)
			for p.ResponseMeta().Clock == 0 { // which comes now and then
				p.ping(t)
			}

			var ample, endless uint64
			stopped(t, pid, 2*time.Second, func() {
				for range late {
					p.start(t, "Counting.Do", p.by(time.Second), 1)
				}
				ample = p.start(t, "Counting.Do", p.by(time.Minute), 1)
				endless = p.start(t, "Counting.Do", codec.RequestMeta{}, 1)
			})
			for range late + 2 {
				var ran int64
				r := p.next(t, &ran)
				if r.Seq == ample || r.Seq == endless {
					require.Empty(t, r.Error)
					require.LessOrEqual(t, ran, int64(2), "no other has run")
					continue
				}
				require.Equal(t, protocol.ErrLate.Error(), r.Error)
				require.True(t, p.refused(r))
			}
			p.start(t, "Counting.Late", codec.RequestMeta{}, 1)
			var refused int64
			require.Empty(t, p.next(t, &refused).Error)
			require.EqualValues(t, late, refused)
			require.NoError(t, p.Close())
		})
	}
}
