package codec_test

import (
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"sync"
	"testing"
)

// duplex is a buffered connection in memory: writes do not wait for reads, so
// that what is measured is the codec.
type duplex struct {
	mu   sync.Mutex // protects following
	cond *sync.Cond
	buf  []byte
	off  int
	eof  bool
}

func newDuplex() *duplex { d := new(duplex); d.cond = sync.NewCond(&d.mu); return d }

func (d *duplex) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buf = append(d.buf, p...)
	d.cond.Signal()
	return len(p), nil
}

func (d *duplex) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.off == len(d.buf) {
		if d.eof {
			return 0, io.EOF
		}
		d.buf, d.off = d.buf[:0], 0
		d.cond.Wait()
	}
	n := copy(p, d.buf[d.off:])
	d.off += n
	return n, nil
}

func (d *duplex) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.eof = true
	d.cond.Broadcast()
	return nil
}

type duplexEnd struct {
	io.Reader
	io.Writer
	close func() error
}

func (e duplexEnd) Close() error { return e.close() }

func duplexPipe() (io.ReadWriteCloser, io.ReadWriteCloser) {
	a, b := newDuplex(), newDuplex()
	closeBoth := func() error { a.Close(); return b.Close() }
	return duplexEnd{a, b, closeBoth}, duplexEnd{b, a, closeBoth}
}

type Args struct{ A, B int }

type Reply struct{ C int }

type Arith struct{}

func (Arith) Add(args Args, reply *Reply) error { reply.C = args.A + args.B; return nil }

// BenchmarkCall makes one call after the other, with our codec or the standard
// library's at either end.
func BenchmarkCall(b *testing.B) {
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		b.Fatal(err)
	}
	for _, f := range formats {
		for _, ends := range []struct {
			name   string
			client func(io.ReadWriteCloser) *rpc.Client
			serve  func(*rpc.Server, io.ReadWriteCloser)
		}{
			{"stock", f.stockClient, f.stockServer},
			{"client", f.ourClient, f.stockServer},
			{"server", f.stockClient, f.ourServer},
			{"both", f.ourClient, f.ourServer},
		} {
			b.Run(f.name+"/"+ends.name, func(b *testing.B) {
				local, remote := duplexPipe()
				go ends.serve(server, remote)
				c := ends.client(local)
				defer c.Close()
				benchCalls(b, c)
			})
		}
	}
}

func benchCalls(b *testing.B, c *rpc.Client) {
	b.ReportAllocs()
	args, reply := &Args{}, new(Reply)
	for i := 0; b.Loop(); i++ {
		args.A, args.B, reply.C = i, 7, 0
		if err := c.Call("Arith.Add", args, reply); err != nil {
			b.Fatal(err)
		}
		if reply.C != i+7 {
			b.Fatalf("%d + 7 = %d", i, reply.C)
		}
	}
}

// BenchmarkPayload sends and receives larger values.
func BenchmarkPayload(b *testing.B) {
	server := newServer()
	for _, size := range []int{1 << 10, 1 << 20} {
		args := strings.Repeat("0123456789abcdef", size/16)
		for _, f := range formats {
			for name, client := range map[string]func(io.ReadWriteCloser) *rpc.Client{"stock": f.stockClient, "client": f.ourClient} {
				b.Run(fmt.Sprintf("%s/%d/%s", f.name, size, name), func(b *testing.B) {
					local, remote := duplexPipe()
					go f.stockServer(server, remote)
					c := client(local)
					defer c.Close()
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for b.Loop() {
						var reply string
						if err := c.Call("Echo.String", args, &reply); err != nil || reply != args {
							b.Fatalf("%d bytes came back, %v", len(reply), err)
						}
					}
				})
			}
		}
	}
}
