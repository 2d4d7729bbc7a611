package rpcx_test

import (
	"bytes"
	"encoding/gob"
	"io"
	"net"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Slow takes its time to be decoded and encoded.
type Slow struct{ reading, writing time.Duration }

func (s *Slow) GobDecode(b []byte) error {
	var d [2]time.Duration
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&d); err != nil {
		return err
	}
	s.reading, s.writing = d[0], d[1]
	time.Sleep(s.reading) // virtual
	return nil
}

func (s Slow) GobEncode() ([]byte, error) {
	time.Sleep(s.writing) // virtual
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode([2]time.Duration{s.reading, s.writing})
	return b.Bytes(), err
}

// Copier is a service of slow values.
type Copier struct{}

func (Copier) Reading(d time.Duration, out *Slow) error { *out = Slow{reading: d}; return nil }
func (Copier) Writing(d time.Duration, out *Slow) error { *out = Slow{writing: d}; return nil }

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

// An encoder at the server holds up the answers to pings behind it. Over real sockets,
// since the answers wait for a mutex.
func TestEncodersMayTakeTheirTime(t *testing.T) {
	t.Parallel()
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Copier", Copier{}))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	go server.Accept(lis)
	d := rpcx.Dialer{DetectionTime: time.Second}
	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	for range 2 {
		require.NoError(t, c.Call("Copier.Writing", 2*time.Second, new(Slow)))
	}
}
