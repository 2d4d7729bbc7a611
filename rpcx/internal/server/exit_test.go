package server

import (
	"net"
	"net/rpc"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Leaver is a value whose decoding as an argument, or encoding as a reply, ends the goroutine
// of the server if it says so, as a marshaler that calls t.FailNow does.
type Leaver struct{ At string }

// GobEncode implements gob.GobEncoder.
func (l Leaver) GobEncode() ([]byte, error) {
	if l.At == "encoding" {
		runtime.Goexit()
	}
	return []byte(l.At), nil
}

// GobDecode implements gob.GobDecoder.
func (l *Leaver) GobDecode(b []byte) error {
	if l.At = string(b); l.At == "decoding" {
		runtime.Goexit()
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (l Leaver) MarshalJSON() ([]byte, error) {
	b, err := l.GobEncode()
	return []byte(`"` + string(b) + `"`), err
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Leaver) UnmarshalJSON(b []byte) error { return l.GobDecode(b[1 : len(b)-1]) }

// Leave is a service.
type Leave struct{}

// Do implements a method.
func (Leave) Do(in Leaver, out *Leaver) error {
	switch in.At {
	case "method":
		runtime.Goexit()
	case "reply":
		out.At = "encoding"
	}
	return nil
}

// What ends the goroutine of a worker, in the method or in the coding of its values, ends the
// call. Nothing is counted as running afterwards, and the server stops in order.
func TestWorkerWhoseGoroutineEnds(t *testing.T) {
	t.Parallel() // it waits
	for name, codecs := range codecs {
		for _, at := range []string{"method", "decoding", "reply"} {
			for _, busy := range []bool{false, true} {
				t.Run(name+" "+at+map[bool]string{true: " busy"}[busy], func(t *testing.T) {
					cfg := config(t, Leave{})
					require.NoError(t, cfg.Server.Register(new(Work)))
					cfg.NewCodec = codecs.server
					lis := listen(t)
					stop := serve(lis, cfg)
					for range 3 {
						conn, err := net.Dial("tcp", lis.Addr().String())
						require.NoError(t, err)
						c := rpc.NewClientWithCodec(codecs.client(conn))
						slow := make(chan *rpc.Call, 1)
						if busy {
							c.Go("Work.Sleep", 100*time.Millisecond, new(int), slow)
						}
						call := c.Go("Leave.Do", Leaver{at}, new(Leaver), make(chan *rpc.Call, 1))
						select {
						case <-call.Done:
							require.Error(t, call.Error)
						case <-time.After(10 * time.Second):
							t.Error("the call does not end")
						}
						if busy {
							require.NotNil(t, <-slow)
						}
						if at == "method" {
							require.Equal(t, rpc.ServerError(ErrPanicked.Error()), call.Error)
							require.NoError(t, c.Call("Leave.Do", Leaver{}, new(Leaver)))
						}
						c.Close()
					}
					stopped := make(chan error, 1)
					go func() { stopped <- stop() }()
					select {
					case err := <-stopped:
						require.NoError(t, err)
					case <-time.After(10 * time.Second):
						t.Fatal("the server does not stop")
					}
				})
			}
		}
	}
}
