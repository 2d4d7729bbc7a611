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
			near, far := net.Pipe()
			defer far.Close()
			s := &serving{cfg: config(t, new(Work)), conns: make(map[*conn]struct{})}
			conn := newConn(s, near)
			conn.codec = c.codec
			conn.ahead, _ = c.codec.(codec.ReadAhead)
			conn.workers.Add(1)
			s.wg.Add(1)
			q := &request{conn: conn, method: "Work.Do"}
			if c.short {
				s.methods.of(q.method).level.Store(0)
			}
			q.ReadRequestBody(c.body) //nolint:errcheck // it is the script's
			require.Equal(t, c.want, q.reading)
			require.Equal(t, c.want == readingHere, conn.resumeReading(q))
			q.leave()
			s.wg.Wait() // a worker without a request ends the connection
			require.Zero(t, conn.workers.Load())
		})
	}
}
