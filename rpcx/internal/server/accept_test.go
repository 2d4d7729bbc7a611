package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
)

// moody fails to accept now and then.
type moody struct {
	net.Listener
	moods atomic.Int64
	err   error
}

func (l *moody) Accept() (net.Conn, error) {
	if l.moods.Add(-1) >= 0 {
		return nil, l.err
	}
	return l.Listener.Accept()
}

// temporary is an error that says of itself whether it passes.
type temporary bool

func (t temporary) Error() string   { return fmt.Sprintf("temporary: %t", bool(t)) }
func (t temporary) Temporary() bool { return bool(t) }

// net/rpc's Accept ends for good at the first error.
func TestServeOutlivesFailingAccepts(t *testing.T) {
	for name, err := range map[string]error{
		"a listener's own": temporary(true),
		"wrapped":          fmt.Errorf("no more: %w", temporary(true)),
		"net's":            &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)},
		"of the system":    fmt.Errorf("accept: %w", syscall.ENFILE),
		"of the peer":      os.NewSyscallError("accept4", syscall.ECONNABORTED),
		"of memory":        os.NewSyscallError("accept4", syscall.ENOBUFS),
		"WSAEMFILE":        &net.OpError{Op: "accept", Err: os.NewSyscallError("acceptex", syscall.Errno(10024))},
		"WSAENOBUFS":       os.NewSyscallError("acceptex", syscall.Errno(10055)),
		"WSAECONNABORTED":  os.NewSyscallError("acceptex", syscall.Errno(10053)),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				lis := &moody{Listener: network.Listen("s:1"), err: err}
				lis.moods.Store(5)
				stop := serve(lis, config(t, new(Work)))
				c := rpc.NewClient(dial(t, network))
				begin := time.Now()
				require.NoError(t, c.Call("Work.Do", 1, new(int)))
				require.Less(t, time.Since(begin), time.Second)
				require.NoError(t, c.Close())
				require.NoError(t, stop())
			})
		})
	}
}

// Each kind of listener has its own error for being closed: cmux, yamux and bufconn have
// errors for it that are not net.ErrClosed, and Serve did not return.
func TestServeEndsWithItsListener(t *testing.T) {
	for _, err := range []error{
		errors.New("session shutdown"),
		io.EOF,
		io.ErrClosedPipe,
		temporary(false),
		&net.OpError{Op: "accept", Err: errors.New("use of closed")},
		os.NewSyscallError("accept4", syscall.EINVAL),
	} {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.New()
				lis := &moody{Listener: network.Listen("s:1"), err: err}
				lis.moods.Store(1 << 62)
				begin := time.Now()
				require.Equal(t, err, Serve(t.Context(), lis, config(t, new(Work))), "it is the listener's, bare")
				require.Zero(t, time.Since(begin))
				_, err := network.DialContext(t.Context(), "tcp", "s:1")
				require.Error(t, err, "it has been closed")
			})
		})
	}
}

func TestServeReturnsWhenItsListenerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis := listen(t)
		require.NoError(t, lis.Close())
		require.ErrorIs(t, Serve(t.Context(), lis, config(t, new(Work))), net.ErrClosed)
	})
}

func TestServeBoundsConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		cfg := config(t, new(Work))
		cfg.MaxConns = 2
		stop := serve(network.Listen("s:1"), cfg)
		var clients []*rpc.Client
		for range 3 {
			clients = append(clients, rpc.NewClient(dial(t, network)))
		}
		synctest.Wait()
		require.NoError(t, clients[0].Call("Work.Do", 1, new(int)))
		require.NoError(t, clients[1].Call("Work.Do", 1, new(int)))
		require.Error(t, clients[2].Call("Work.Do", 1, new(int)))
		require.NoError(t, clients[0].Close())
		synctest.Wait()
		clients[0] = rpc.NewClient(dial(t, network))
		require.NoError(t, clients[0].Call("Work.Do", 1, new(int)), "there is room again")
		for _, c := range clients {
			c.Close()
		}
		require.NoError(t, stop())
	})
}

// Without MaxConns, a connection may be idle for as long as it likes, and a request may
// take its time as long as it comes.
func TestServeLeavesIdleConnectionsAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		cfg := config(t, newBulk(10))
		cfg.NewCodec = codec.NewJSONServer
		stop := serve(network.Listen("s:1"), cfg)
		silent, lively, slow := dial(t, network), dial(t, network), dial(t, network)
		for range 300 {
			_, err := lively.Write([]byte("\r\n")) // a sign of life
			require.NoError(t, err)
			_, err = slow.Write(bytes.Repeat([]byte(" "), 2000))
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		time.Sleep(24 * time.Hour)
		for _, conn := range []net.Conn{silent, lively} {
			c := rpc.NewClientWithCodec(codec.NewJSONClient(conn))
			require.NoError(t, c.Call("Bulk.Get", 1, new([]byte)))
			require.NoError(t, c.Close())
		}
		require.NoError(t, slow.Close())
		require.NoError(t, stop())
	})
}

// The memory of requests that have begun and do not go on is given back.
func TestServeEndsRequestsThatDoNotGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		cfg := config(t, newBulk(10))
		cfg.NewCodec = codec.NewJSONServer
		stop := serve(network.Listen("s:1"), cfg)
		conn := dial(t, network)
		_, err := conn.Write([]byte(`{"method":"` + strings.Repeat("x", 5000)))
		require.NoError(t, err)
		begin := time.Now()
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.Greater(t, time.Since(begin), 25*time.Second)
		require.Less(t, time.Since(begin), 40*time.Second)
		require.NoError(t, conn.Close())
		require.NoError(t, stop())
	})
}

// A codec that panics outside of a request costs its connection only.
func TestServeOutlivesPanicsOfCodecs(t *testing.T) {
	leak.Check(t)
	lis, cfg := listen(t), config(t, new(Work))
	var n atomic.Int64
	cfg.NewCodec = func(conn io.ReadWriteCloser) rpc.ServerCodec {
		switch n.Add(1) {
		case 1:
			panic("no codec")
		case 2:
			return nil
		case 3:
			return panicking{codec.NewGobServer(conn)}
		}
		return codec.NewGobServer(conn)
	}
	stop := serve(lis, cfg)
	for range 3 {
		c, err := rpc.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		require.Error(t, c.Call("Work.Nothing", 1, new(int)))
		require.NoError(t, c.Close())
	}
	c, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	var out int
	require.NoError(t, c.Call("Work.Do", 6, &out))
	require.Equal(t, 6, out)
	require.NoError(t, c.Close())
	require.NoError(t, stop())
}

// panicking is a codec that panics when it is closed.
type panicking struct{ rpc.ServerCodec }

func (p panicking) Close() error {
	p.ServerCodec.Close() //nolint:errcheck // it panics
	panic("closed")
}
