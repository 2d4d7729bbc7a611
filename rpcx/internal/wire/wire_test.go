package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a connection that takes so many bytes and then fails, and remembers
// the deadline that stood at each write.
type scripted struct {
	net.Conn
	room      int
	deadline  time.Time
	deadlines []time.Time
}

var errScript = errors.New("reset")

func (c *scripted) SetWriteDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func (c *scripted) Write(p []byte) (int, error) {
	c.deadlines = append(c.deadlines, c.deadline)
	n := min(len(p), c.room)
	c.room -= n
	if n < len(p) {
		return n, errScript
	}
	return n, nil
}

func scriptedWire(c *scripted, kernel bool) *Wire {
	w := New(c, Config{Go: func(f func()) { f() }, Fail: func(error) {}, Stall: WriteStall})
	w.kernel, w.exact = kernel, true
	return w
}

// What a failed write did not accept cannot have left, if a socket says so. Of a
// layer above one only what was never handed to it is known.
func TestWireKnowsWhatLeft(t *testing.T) {
	for _, c := range []struct {
		name         string
		kernel       bool
		room         int
		unsentFrom   int64 // the least offset of which nothing can have left
		frame, write int
	}{
		{"nothing", true, 0, 0, 100, 1},
		{"part of a frame", true, 40, 40, 100, 1},
		{"the first of two frames", true, 100, 100, 100, 2},
		{"a layer says nothing", false, 40, 100, 100, 1},
		{"pieces that were never tried", false, 0, layerPiece, 2 * layerPiece, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := scriptedWire(&scripted{room: c.room}, c.kernel)
			w.BeginFrame()
			for range c.write {
				_, err := w.Write(make([]byte, c.frame))
				require.NoError(t, err)
			}
			w.EndFrame()
			w.Send(false)
			require.True(t, w.UnsentFrom(c.unsentFrom))
			if c.unsentFrom > 0 {
				require.False(t, w.UnsentFrom(c.unsentFrom-1))
			}
		})
	}
}

// A bound on one write must not end a later one: calls would be cut by it.
func TestWriteDeadlineDoesNotOutliveItsWrite(t *testing.T) {
	c := &scripted{room: 1 << 20}
	w := scriptedWire(c, true)
	for _, size := range []int{2 * inlineLimit, 10} {
		w.BeginFrame()
		_, err := w.Write(make([]byte, size))
		require.NoError(t, err)
		w.EndFrame()
		w.Send(true)
	}
	require.Len(t, c.deadlines, 2)
	require.False(t, c.deadlines[0].IsZero())
	require.True(t, c.deadlines[1].IsZero())
}

// Frames of all sizes by turns must not have a new buffer grow for each large one; and
// what a large one has left behind is let go when there are only small ones.
func TestBuffersAreKeptWhileTheyAreNeeded(t *testing.T) {
	w := scriptedWire(&scripted{room: 1 << 40}, true)
	large, little := make([]byte, pieceSize), make([]byte, 100)
	write := func(p []byte) {
		w.BeginFrame()
		_, err := w.Write(p)
		require.NoError(t, err)
		w.EndFrame()
		w.Send(true)
	}
	turns := func() {
		write(large)
		for range keepWrites / 2 {
			write(little)
		}
	}
	turns()
	turns()
	w.conn.(*scripted).deadlines = make([]time.Time, 0, 1<<10)
	require.LessOrEqual(t, testing.AllocsPerRun(10, turns), 1.0, "which is the flusher")
	for range keepWrites + 2 {
		write(little)
	}
	require.LessOrEqual(t, cap(w.buf)+cap(w.spare), 2*keepBuffer)
}

// interrupted is a connection whose writes are ended by a deadline after as many bytes as
// it is told, and then take all.
type interrupted struct {
	scripted
	after []int
	got   bytes.Buffer
}

func (c *interrupted) Write(p []byte) (int, error) {
	if len(c.after) == 0 {
		return c.got.Write(p)
	}
	n := min(c.after[0], len(p))
	c.after = c.after[1:]
	c.got.Write(p[:n])
	return n, os.ErrDeadlineExceeded
}

// A write whose time is up goes on as long as the connection takes bytes, and ends if it
// takes none although it is asked again.
func TestWireWritesOnWhileItGetsAnywhere(t *testing.T) {
	for _, c := range []struct {
		after []int
		fails bool
	}{
		{[]int{1}, false},
		{[]int{0}, false},
		{[]int{0, 1}, false},
		{[]int{5, 0, 0, 7, 3, 0}, false},
		{[]int{0, 0}, true},
		{[]int{5, 0, 0, 0}, true},
	} {
		t.Run(fmt.Sprint(c.after), func(t *testing.T) {
			conn := &interrupted{after: c.after}
			var failed error
			w := New(conn, Config{Go: func(f func()) { f() }, Fail: func(err error) { failed = err }})
			w.exact = true
			data := []byte(strings.Repeat("0123456789", 10_000))
			w.BeginFrame()
			_, err := w.Write(data)
			require.NoError(t, err)
			w.EndFrame()
			w.Send(false)
			require.Equal(t, c.fails, IsTimeout(failed), "%v", failed)
			require.Equal(t, !c.fails, bytes.Equal(data, conn.got.Bytes()))
			require.EqualValues(t, conn.got.Len(), w.Sent())
			if !c.fails {
				w.Write([]byte("more")) //nolint:errcheck // it goes to memory
				require.True(t, conn.deadline.IsZero(), "the deadline is lifted")
			}
		})
	}
}

// Where a write that a deadline has ended may have sent more than it says, it is not gone on
// with, and all of it can have left.
func TestWireTrustsNoCanceledWrite(t *testing.T) {
	const frame = 100
	for name, c := range map[string]struct {
		exact      bool
		err        error
		unsentFrom int64
	}{
		"canceled, exact":     {true, os.ErrDeadlineExceeded, 40},
		"canceled, not exact": {false, os.ErrDeadlineExceeded, frame},
		"reset, not exact":    {false, errScript, 40},
	} {
		t.Run(name, func(t *testing.T) {
			conn := &failing{taken: 40, err: c.err}
			var failed error
			w := New(conn, Config{Go: func(f func()) { f() }, Fail: func(err error) { failed = err }})
			w.kernel, w.exact = true, c.exact
			w.Write(make([]byte, frame)) //nolint:errcheck // it fails below
			require.Equal(t, c.err, failed)
			require.True(t, w.UnsentFrom(c.unsentFrom))
			require.False(t, w.UnsentFrom(c.unsentFrom-1))
			require.Equal(t, c.exact, conn.writes > 1, "it is tried once more")
		})
	}
}

// failing is a connection whose first write takes some bytes and fails, and whose later ones
// fail.
type failing struct {
	scripted
	taken, writes int
	err           error
}

func (c *failing) Write([]byte) (n int, err error) {
	n, c.taken = c.taken, 0
	c.writes++
	return n, c.err
}

// Who waits for the writes to end must hear of it when the connection ends in between.
func TestSettlingEndsWithTheConnection(t *testing.T) {
	for range 50_000 {
		w := scriptedWire(&scripted{room: 1 << 20}, true)
		w.BeginFrame()
		_, err := w.Write([]byte("reply"))
		require.NoError(t, err)
		w.EndFrame()
		settled := make(chan struct{})
		go func() {
			w.Drain()
			close(settled)
		}()
		runtime.Gosched()
		w.Stop(ErrClosed)
		require.True(t, EndsBy(time.Now().Add(10*time.Second), settled))
	}
}

// Nothing that a codec writes once the connection is over is kept, or sent.
func TestNothingIsWrittenToAConnectionThatIsOver(t *testing.T) {
	c := &scripted{room: 1 << 20}
	w := scriptedWire(c, false)
	w.Halt(ErrClosed)
	for _, write := range []func([]byte) (int, error){w.Write, w.WriteFrame} {
		_, err := write([]byte("keep alive"))
		require.ErrorIs(t, err, ErrClosed)
	}
	w.Send(true)
	require.Empty(t, c.deadlines)
	require.Empty(t, w.buf)
}
