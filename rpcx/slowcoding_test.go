package rpcx_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Slow takes its time to be decoded.
type Slow time.Duration

func (s *Slow) GobDecode(b []byte) error {
	*s = Slow(binary.BigEndian.Uint64(b))
	time.Sleep(time.Duration(*s)) // virtual
	return nil
}

func (s Slow) GobEncode() ([]byte, error) { return binary.BigEndian.AppendUint64(nil, uint64(s)), nil }

// Copier is a service of slow values.
type Copier struct{}

func (Copier) Reading(d time.Duration, out *Slow) error { *out = Slow(d); return nil }

// What a decoder here takes is not the peer's silence.
func TestDecodersMayTakeTheirTime(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.serve = func(s *rpc.Server, c io.ReadWriteCloser) {
			s.RegisterName("Copier", Copier{}) //nolint:errcheck // it may be registered
			s.ServeConn(c)
		}
		f.addrs = []string{"a:1"}
		f.start("a:1")
		c := f.dial()
		defer c.Close()
		for _, first := range []time.Duration{0, 10 * time.Second} {
			time.Sleep(first)
			beside := c.Go("Bank.Sleep", 3*time.Second, new(string), nil)
			require.NoError(t, c.Call("Copier.Reading", 4*time.Second, new(Slow)))
			require.NoError(t, (<-beside.Done).Error)
		}
		require.Zero(t, c.Stats().Endpoints[0].Trips)
	})
}

// slowEncoder is a server's connection on which an encoder takes its time over what is
// marked, and holds up what is behind it. It stands for the mutex of net/rpc's server, for which virtual time
// does not wait.
type slowEncoder struct {
	io.ReadWriteCloser
	replies chan []byte
}

const encoded = "encoded slowly"

func (e *slowEncoder) Write(b []byte) (int, error) {
	e.replies <- bytes.Clone(b)
	return len(b), nil
}

func (e *slowEncoder) run() {
	for b := range e.replies {
		if bytes.Contains(b, []byte(encoded)) {
			time.Sleep(1900 * time.Millisecond) // virtual; a call and a ping at one instant might change places
		}
		e.ReadWriteCloser.Write(b) //nolint:errcheck // the client may have left
	}
}

// An encoder at the server holds up the answers to pings behind it.
func TestEncodersMayTakeTheirTime(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.dialer.DetectionTime = time.Second
		f.serve = func(s *rpc.Server, c io.ReadWriteCloser) {
			e := &slowEncoder{c, make(chan []byte, 100)}
			go e.run()
			s.ServeConn(e)
			close(e.replies)
		}
		f.addrs = []string{"a:1"}
		f.start("a:1")
		c := f.dial()
		defer c.Close()
		for range 3 {
			require.NoError(t, c.Call("Bank.Echo", encoded, new(string)))
		}
		require.Zero(t, c.Stats().Endpoints[0].Trips)
	})
}
