package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"testing"

	"resilientrpc/rpcx"
)

// instant is a codec that answers every request with its argument, at once: what
// is left of a call is the client.
type instant struct{ seqs chan uint64 }

func newInstant(io.ReadWriteCloser) rpc.ClientCodec { return &instant{make(chan uint64, 1024)} }

func (c *instant) WriteRequest(r *rpc.Request, _ any) error {
	c.seqs <- r.Seq
	return nil
}

func (c *instant) ReadResponseHeader(r *rpc.Response) error {
	seq, ok := <-c.seqs
	if !ok {
		return io.EOF
	}
	r.Seq = seq
	return nil
}

func (c *instant) ReadResponseBody(reply any) error {
	if n, ok := reply.(*int); ok {
		*n = 42
	}
	return nil
}

func (c *instant) Close() error {
	close(c.seqs)
	return nil
}

// WholeFrames says what the codecs of package codec say.
func (c *instant) WholeFrames() {}

// BenchmarkLayer is what the client itself costs, beside net/rpc's, over a codec
// that costs nothing.
func BenchmarkLayer(b *testing.B) {
	d := rpcx.Dialer{
		Codec: newInstant,
		NetDial: func(context.Context, string, string) (net.Conn, error) {
			near, _ := net.Pipe()
			return near, nil
		},
	}
	for _, c := range []struct {
		name string
		dial func() (caller, error)
	}{
		{"netrpc", func() (caller, error) { return rpc.NewClientWithCodec(newInstant(nil)), nil }},
		{"rpcx", func() (caller, error) { return d.Dial("tcp", "a:1") }},
		{"rpcx/3replicas", func() (caller, error) { return d.Dial("tcp", "a:1", "b:1", "c:1") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, err := c.dial()
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			b.ReportAllocs()
			for b.Loop() {
				var reply int
				if err := client.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
					b.Fatal(reply, err)
				}
			}
		})
	}
}
