package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// breaking is a connection to a server that runs what arrives, and breaks after the
// first piece of what is written.
type breaking struct {
	net.Conn
	runs   *atomic.Int64
	broken bool
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.broken {
		return 0, errors.New("broken pipe")
	}
	b.broken = true
	b.runs.Add(int64(bytes.Count(p, []byte(`"Once.Only"`))))
	return len(p), nil
}

// talkative is a codec that writes more than requests. It is whole, as one is that
// embeds a codec of this module.
type talkative struct {
	rpc.ClientCodec
	before, after func()
}

func (w *talkative) WholeFrames() {}

func (w *talkative) WriteRequest(r *rpc.Request, args any) error {
	w.before()
	err := w.ClientCodec.WriteRequest(r, args)
	w.after()
	return err
}

// tailed is a connection that has more to write behind each write.
type tailed struct {
	io.ReadWriteCloser
	tail []byte
}

func (c *tailed) Write(p []byte) (int, error) {
	_, err := c.ReadWriteCloser.Write(append(bytes.Clone(p), c.tail...))
	return len(p), err
}

// What a codec writes on its own beside a request counted as the request's end. When
// the connection broke within that, the request, which had run, was taken for one that
// had never left: it ran a second time.
func TestWhatFollowsARequestIsNotItsEnd(t *testing.T) {
	rest := strings.Repeat("x", 1<<20)
	large := []byte(`{"jsonrpc":"2.0","method":"Log.Note","params":["` + rest + `"]}` + "\n")
	nothing := func() {}
	notify := func(c rpc.ClientCodec) func() {
		return func() { c.(codec.Notifier).Notify("Log.Note", rest) }
	}
	json2 := codec.JSON2{MaxFrame: -1}
	for name, wrap := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
		"a notification": func(conn io.ReadWriteCloser) rpc.ClientCodec {
			c := json2.NewClient(conn)
			return &talkative{c, nothing, notify(c)}
		},
		"notifications on both sides": func(conn io.ReadWriteCloser) rpc.ClientCodec {
			c := json2.NewClient(conn)
			return &talkative{c, func() { c.(codec.Notifier).Notify("Log.Note", 1) }, notify(c)}
		},
		"a codec's own": func(conn io.ReadWriteCloser) rpc.ClientCodec {
			c := json2.NewClient(conn)
			return &talkative{c, nothing, func() { conn.Write(large) }}
		},
		"a layer's, in the same write": func(conn io.ReadWriteCloser) rpc.ClientCodec {
			return json2.NewClient(&tailed{conn, large})
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			var runs atomic.Int64
			d := rpcx.Dialer{Codec: wrap, Heartbeat: -1}
			d.NetDial = func(context.Context, string, string) (net.Conn, error) {
				near, _ := net.Pipe()
				return &breaking{Conn: near, runs: &runs}, nil
			}
			c, err := d.Dial("tcp", "a:1", "b:1")
			require.NoError(t, err)
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			require.Equal(t, rpcx.MaybeSent, callError(t, c.CallContext(ctx, "Once.Only", 1, new(int))).Sent)
			require.EqualValues(t, 1, runs.Load())
		})
	}
}

// A request whose end never left did not run, whatever has left before it.
func TestRequestWhoseEndNeverLeftIsNotSent(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			io.CopyN(io.Discard, conn, 256<<10)
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}()
	for name, make := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
		"gob": codec.Gob{MaxFrame: -1}.NewClient, "json": codec.JSON{MaxFrame: -1}.NewClient, "json2": codec.JSON2{MaxFrame: -1}.NewClient,
	} {
		d := rpcx.Dialer{Codec: make, Heartbeat: -1}
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
			}
			return conn, err
		}
		c, err := d.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		err = c.CallContext(t.Context(), "Once.Only", strings.Repeat("x", 1<<20), new(int))
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent, name)
		require.NoError(t, c.Close())
	}
}
