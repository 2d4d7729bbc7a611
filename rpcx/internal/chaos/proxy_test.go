package chaos_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/leak"
)

// A bench is a proxy before a server that sends everything back.
type bench struct {
	*chaos.Proxy
	t *testing.T
}

func newBench(t *testing.T) *bench {
	t.Helper()
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn) //nolint:errcheck // the proxy breaks it
				conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { lis.Close() })
	p, err := chaos.NewProxy(lis.Addr().String(), 1)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return &bench{p, t}
}

func (b *bench) set(f chaos.Fault) {
	b.t.Helper()
	require.NoError(b.t, b.Set(f))
}

func (b *bench) dial() net.Conn {
	b.t.Helper()
	c, err := net.DialTimeout("tcp", b.Addr, 100*time.Millisecond)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { c.Close() })
	return c
}

// echo sends b and returns what comes back of it within the time.
func echo(c net.Conn, b []byte, within time.Duration) ([]byte, error) {
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	got := make([]byte, len(b))
	n, err := io.ReadFull(c, got)
	return got[:n], err
}

var (
	hello = []byte("hello")
	soon  = 2 * time.Second
	short = 50 * time.Millisecond
)

func (b *bench) passes(c net.Conn) {
	b.t.Helper()
	got, err := echo(c, hello, soon)
	require.NoError(b.t, err)
	require.Equal(b.t, hello, got)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func TestProxyPasses(t *testing.T) {
	b := newBench(t)
	big := bytes.Repeat([]byte("0123456789"), 1e5)
	c := b.dial()
	b.passes(c)
	go c.Write(big) //nolint:errcheck // the reader sees
	got := make([]byte, len(big))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, big, got)
}

// What was held back arrives.
func TestProxyHoldsBack(t *testing.T) {
	for _, f := range []chaos.Fault{chaos.Stall, chaos.Mute} {
		t.Run(f.String(), func(t *testing.T) {
			b := newBench(t)
			c := b.dial()
			b.passes(c)
			b.set(f)
			_, err := echo(c, hello, short)
			require.True(t, isTimeout(err), "%v", err)
			b.set(chaos.Healthy)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(soon)))
			got := make([]byte, len(hello))
			_, err = io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, hello, got)
		})
	}
}

func TestProxySlows(t *testing.T) {
	for f, least := range map[chaos.Fault]time.Duration{chaos.Drip: 80 * time.Millisecond, chaos.Delay: 200 * time.Millisecond} {
		t.Run(f.String(), func(t *testing.T) {
			b := newBench(t)
			c := b.dial()
			b.set(f)
			text := bytes.Repeat([]byte("x"), 100)
			begin := time.Now()
			got, err := echo(c, text, soon)
			require.NoError(t, err)
			require.Equal(t, text, got)
			require.GreaterOrEqual(t, time.Since(begin), least)
		})
	}
}

// Half open is for the connection's life, and for those made meanwhile.
func TestProxyLoses(t *testing.T) {
	b := newBench(t)
	old := b.dial()
	b.passes(old)
	b.set(chaos.HalfOpen)
	during := b.dial()
	for _, c := range []net.Conn{old, during} {
		_, err := echo(c, hello, short)
		require.True(t, isTimeout(err), "%v", err)
	}
	b.set(chaos.Healthy)
	b.passes(b.dial())
	for _, c := range []net.Conn{old, during} {
		_, err := echo(c, hello, short)
		require.True(t, isTimeout(err), "%v", err)
	}
}

func TestProxyCuts(t *testing.T) {
	for _, f := range []chaos.Fault{chaos.Kill, chaos.Backlog, chaos.Reset, chaos.Oversize} {
		t.Run(f.String(), func(t *testing.T) {
			b := newBench(t)
			c := b.dial()
			b.passes(c)
			b.set(f)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(soon)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			b.set(chaos.Healthy)
			b.passes(b.dial())
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	b := newBench(t)
	b.set(chaos.Kill)
	_, err := net.DialTimeout("tcp", b.Addr, soon)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestProxyResetsNewConnections(t *testing.T) {
	b := newBench(t)
	b.set(chaos.Reset)
	_, err := echo(b.dial(), make([]byte, 10000), soon)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestProxyIsOversized(t *testing.T) {
	b := newBench(t)
	b.set(chaos.Oversize)
	got, err := echo(b.dial(), hello, soon)
	require.NoError(t, err)
	require.Equal(t, []byte{0xfc, 0x7f, 0xff, 0xff, 0xff}, got)
}

func TestProxyFlips(t *testing.T) {
	b := newBench(t)
	c := b.dial()
	b.set(chaos.Corrupt)
	zeros, flipped := make([]byte, 10), 0
	for range 100 {
		got, err := echo(c, zeros, soon)
		require.NoError(t, err)
		if !bytes.Equal(got, zeros) {
			flipped++
		}
	}
	require.Positive(t, flipped)
	require.Less(t, flipped, 100)
}
