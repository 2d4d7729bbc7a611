package server

import (
	"errors"
	"io"
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// scripted is a codec that has read a request, and no other one.
type scripted struct {
	rpc.ServerCodec
	ahead bool
	err   error
}

func (scripted) ReadRequestHeader(*rpc.Request) error { return io.EOF }
func (s scripted) ReadRequestBody(any) error          { return s.err }
func (s scripted) ReadAhead() bool                    { return s.ahead }
func (scripted) Close() error                         { return nil }

// readRequest returns a connection with the given codec, whose only worker has read the
// header of a request. The connection ends with its last worker.
func readRequest(t *testing.T, c rpc.ServerCodec) (*conn, *request) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	s := &serving{cfg: config(t, new(Work)), conns: make(map[*conn]struct{})}
	conn := newConn(s, near)
	conn.codec = c
	conn.ahead, _ = c.(codec.ReadAhead)
	conn.workers.Add(1)
	s.wg.Add(1)
	q := newRequest(conn)
	q.method = "Work.Do"
	return conn, q
}

// requireEnd waits for the last worker, one of which has found the end of the stream.
func requireEnd(t *testing.T, c *conn) {
	t.Helper()
	c.wg.Wait()
	require.Zero(t, c.workers.Load())
	select {
	case _, more := <-c.next:
		require.False(t, more)
	default:
		t.Fatal("the reading was lost")
	}
}

// The reading stays with a worker if its request is alone, and nothing long is to be run.
func TestReadingAfterARequest(t *testing.T) {
	type foreign struct{ rpc.ServerCodec }
	for name, c := range map[string]struct {
		codec rpc.ServerCodec
		body  any
		short bool
		want  reading
	}{
		"alone and short":      {scripted{}, new(int), true, readingHere},
		"alone and long":       {scripted{}, new(int), false, readingElsewhere},
		"alone, no method":     {scripted{}, nil, false, readingHere},
		"alone, no arguments":  {scripted{err: errors.New("decode")}, new(int), false, readingHere},
		"followed and short":   {scripted{ahead: true}, new(int), true, readingElsewhere},
		"followed, no method":  {scripted{ahead: true}, nil, true, readingElsewhere},
		"the codec says not":   {foreign{scripted{}}, new(int), true, readingElsewhere},
		"it does not for ping": {foreign{scripted{}}, nil, true, readingElsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			conn, q := readRequest(t, c.codec)
			if c.short {
				conn.methods.of(q.method).level.Store(0)
			}
			q.ReadRequestBody(c.body) //nolint:errcheck // it is the script's
			q.caller.end()
			require.Equal(t, c.want, q.reading)
			require.Equal(t, c.want == readingHere, conn.resumeReading(q))
			q.leave()
			requireEnd(t, conn)
		})
	}
}

// The watchdog gives the reading away at the second look that sees a run, and the run
// counts as a long one.
func TestWatchdogGivesTheReadingAway(t *testing.T) {
	conn, q := readRequest(t, scripted{})
	conn.kept.watched = true // by this test
	times := conn.methods.of(q.method)
	times.level.Store(0)
	for range 10 {
		require.NoError(t, q.ReadRequestBody(new(int)))
		q.caller.end()
		require.True(t, conn.checkReading())
		require.True(t, conn.resumeReading(q), "a run that is seen once is none that was seen before")
	}
	require.False(t, conn.checkReading(), "the connection is idle")
	conn.kept.watched = true

	require.NoError(t, q.ReadRequestBody(new(int)))
	q.caller.end()
	require.True(t, conn.checkReading())
	require.True(t, times.short())
	require.True(t, conn.checkReading())
	require.False(t, times.short())
	require.False(t, conn.resumeReading(q))
	q.reading = readingElsewhere
	q.leave()
	requireEnd(t, conn)
}
