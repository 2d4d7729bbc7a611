package codec

import (
	"bytes"
	"io"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mirror is a connection from which a client codec reads what it has written. In gob a
// request is a valid reply.
type mirror struct{ bytes.Buffer }

func (*mirror) Close() error { return nil }

// TestMemoryIsGivenBack: large buffers are kept while there are large frames, and then
// released.
func TestMemoryIsGivenBack(t *testing.T) {
	c := NewGobClient(new(mirror)).(*gobClient)
	buffers := func() int { return cap(c.in.in.buf) + cap(c.out.out) }
	call := func(size int) {
		args, reply := strings.Repeat("x", size), ""
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.String"}, args))
		require.NoError(t, c.ReadResponseHeader(new(rpc.Response)))
		require.NoError(t, c.ReadResponseBody(&reply))
		require.Equal(t, args, reply)
	}
	small := func(n int) {
		for range n {
			call(1)
		}
	}
	call(keepBuffer * 5 / 4)
	small(keepFrames - 2)
	require.Greater(t, buffers(), 2*keepBuffer, "another large frame may come")
	call(keepBuffer * 5 / 4)
	small(keepFrames - 2)
	require.Greater(t, buffers(), 2*keepBuffer, "it has come")
	small(4)
	require.Less(t, buffers(), keepBuffer)
	call(3 * keepMost)
	small(2)
	require.Less(t, buffers(), keepBuffer, "a huge one is let go at once")
}

func TestKeeper(t *testing.T) {
	var k keeper
	require.True(t, k.keep(keepBuffer, 0))
	for range 3 {
		require.True(t, k.keep(keepMost, keepMost))
		for range keepFrames - 1 {
			require.True(t, k.keep(keepMost, 10))
		}
	}
	require.False(t, k.keep(keepMost, 10))
	require.False(t, k.keep(keepMost+1, keepMost))
}

// TestBrokenReaders: a reader that makes no progress, or returns an invalid count, causes an
// error.
func TestBrokenReaders(t *testing.T) {
	for _, n := range []int{0, -1, 1 << 20} {
		b := inbuf{r: readerFunc(func([]byte) (int, error) { return n, nil }), max: 100}
		require.Equal(t, io.ErrNoProgress, b.more())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
