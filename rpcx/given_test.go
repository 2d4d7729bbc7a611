package rpcx_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// given is what a user hands to a client: it counts how often it is closed.
type given struct {
	io.ReadWriteCloser
	closed atomic.Int64
}

var errOwners = errors.New("the owner's error")

func (g *given) Close() error {
	g.closed.Add(1)
	g.ReadWriteCloser.Close()
	return errOwners
}

// givenCodec is the same of a codec.
type givenCodec struct {
	rpc.ClientCodec
	conn *given
}

func (g givenCodec) Close() error { return g.conn.Close() }

// ways are those to make a client of what is given.
var ways = []struct {
	name   string
	client func(t *testing.T, g *given, heartbeat time.Duration) *rpcx.Client
}{
	{"NewClient", func(t *testing.T, g *given, heartbeat time.Duration) *rpcx.Client {
		return newClient(t, rpcx.Dialer{DetectionTime: heartbeat}, g)
	}},
	{"Codec", func(t *testing.T, g *given, heartbeat time.Duration) *rpcx.Client {
		return newClient(t, rpcx.Dialer{DetectionTime: heartbeat, Codec: stdjson.NewClientCodec}, g)
	}},
	{"NewClientWithCodec", func(_ *testing.T, g *given, _ time.Duration) *rpcx.Client {
		return rpcx.NewClientWithCodec(givenCodec{stdjson.NewClientCodec(g), g})
	}},
}

func newClient(t *testing.T, d rpcx.Dialer, conn io.ReadWriteCloser) *rpcx.Client {
	c, err := d.NewClient(conn)
	require.NoError(t, err)
	return c
}

// A plugin over its standard input and output lost the output for good when the input
// ended (natefinch/pie); net/rpc closes what it was given in Close only.
func TestEndOfReadingLeavesWhatWasGiven(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			leak.Check(t)
			near, far := net.Pipe()
			defer far.Close()
			lives := make(chan error, 1)
			go func() {
				_, err := bufio.NewReader(far).ReadString('!')
				lives <- err
			}()
			g := &given{ReadWriteCloser: struct {
				io.Reader
				io.Writer
				io.Closer
			}{io.MultiReader(), near, near}} // the input has ended
			c := way.client(t, g, 0)
			require.Eventually(t, func() bool { return errors.Is(c.Call("A.B", 1, new(int)), rpcx.ErrShutdown) },
				10*time.Second, time.Millisecond)
			time.Sleep(20 * time.Millisecond) // for a Close that must not come
			require.Zero(t, g.closed.Load())
			_, err := near.Write([]byte("!"))
			require.NoError(t, err)
			require.NoError(t, <-lives, "the output")

			require.Equal(t, errOwners, c.Close(), "as it is")
			require.EqualValues(t, 1, g.closed.Load())
			require.Equal(t, rpcx.ErrShutdown, c.Close())
			require.EqualValues(t, 1, g.closed.Load())
		})
	}
}

// A peer that is convicted costs the calls, and not what was given.
func TestConvictionLeavesWhatWasGiven(t *testing.T) {
	for _, way := range ways[:2] {
		inBubble(t, way.name, func(t *testing.T) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far) // it reads and says nothing
			g := &given{ReadWriteCloser: near}
			c := way.client(t, g, time.Second)
			require.ErrorIs(t, c.Call("A.B", 1, new(int)), rpcx.ErrUnresponsive)
			require.Equal(t, rpcx.ErrShutdown, c.Call("A.B", 1, new(int)))
			time.Sleep(time.Minute) // for a Close that must not come
			require.Zero(t, g.closed.Load())
			require.Equal(t, errOwners, c.Close())
			require.EqualValues(t, 1, g.closed.Load())
		})
	}
}

// An answer that cannot be read is the end of reading, too.
func TestStreamInDisorderLeavesWhatWasGiven(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			leak.Check(t)
			near, far := net.Pipe()
			defer far.Close()
			g := &given{ReadWriteCloser: near}
			c := way.client(t, g, 0)
			go io.Copy(io.Discard, far)
			call := c.Go("A.B", 1, new(int), nil)
			_, err := far.Write([]byte("\x03\xff\xff\xffno format at all\n"))
			require.NoError(t, err)
			require.Error(t, (<-call.Done).Error)
			require.Zero(t, g.closed.Load())
			require.Equal(t, errOwners, c.Close())
		})
	}
}

// reading is a connection that knows whether it is read.
type reading struct {
	net.Conn
	readers atomic.Int64
}

func (r *reading) Read(p []byte) (int, error) {
	defer r.readers.Add(-1)
	r.readers.Add(1)
	return r.Conn.Read(p)
}

// What stays open after a conviction is read no further.
func TestConvictionEndsTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, convictionEndsTheReader)
}

func convictionEndsTheReader(t *testing.T) {
	near, far := net.Pipe()
	go io.Copy(io.Discard, far)
	conn := &reading{Conn: near}
	c := newClient(t, rpcx.Dialer{DetectionTime: time.Second}, conn)
	require.Eventually(t, func() bool { return conn.readers.Load() == 1 }, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, c.Call("A.B", 1, new(int)), rpcx.ErrUnresponsive)
	require.Eventually(t, func() bool { return conn.readers.Load() == 0 }, 10*time.Second, time.Millisecond)
	_, err := conn.Write([]byte("x"))
	require.NoError(t, err, "it is open")
	require.NoError(t, c.Close())
}
