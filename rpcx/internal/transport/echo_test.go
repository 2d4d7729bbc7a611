package transport

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Echo is a service.
type Echo struct{}

// Back returns its argument.
func (Echo) Back(n int, reply *int) error {
	*reply = n
	return nil
}

// Slow returns its argument after as many microseconds.
func (Echo) Slow(n int, reply *int) error {
	time.Sleep(time.Duration(n) * time.Microsecond) // real sockets: what the method takes
	*reply = n
	return nil
}

// Table returns a map.
func (Echo) Table(n int, reply *map[string]int) error {
	*reply = map[string]int{"method": n}
	return nil
}

// New returns a value of a type that the connection has not carried before.
func (Echo) New(n int, reply *struct{ Method int }) error {
	reply.Method = n
	return nil
}

// observer counts.
type observer struct {
	Conn
	heard, wrote, received, late, retired, closed atomic.Int64
}

func (o *observer) Heard(time.Time)           { o.heard.Add(1) }
func (o *observer) Writing(*Exchange)         {}
func (o *observer) Wrote(*Exchange)           { o.wrote.Add(1) }
func (o *observer) Loaded(int, time.Time)     {}
func (o *observer) Retired()                  { o.retired.Add(1) }
func (o *observer) Explain(cause error) error { return cause }
func (o *observer) Closed(error)              { o.closed.Add(1) }
func (o *observer) Received(_ *Exchange, _ time.Time, _, late bool) {
	o.received.Add(1)
	if late {
		o.late.Add(1)
	}
}

var codecs = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":  {codec.NewGobClient, codec.NewGobServer},
	"json": {codec.NewJSONClient, codec.NewJSONServer},
}

// dial returns a connection to an Echo, and the server's end of it.
func dial(t *testing.T, name string) (*observer, net.Conn) {
	t.Helper()
	return dialAs(t, name, false)
}

func dialAs(t *testing.T, name string, given bool) (*observer, net.Conn) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Echo{}))
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := lis.Accept()
		if err == nil {
			accepted <- conn
			server.ServeCodec(codecs[name].server(conn))
		}
	}()
	conn, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	o := new(observer)
	client := func(conn io.ReadWriteCloser) (rpc.ClientCodec, error) { return codecs[name].client(conn), nil }
	require.NoError(t, o.Open(conn, client, Config{Observer: o, Given: given}))
	t.Cleanup(func() {
		o.Fail(io.EOF)
		o.Close()
		<-o.CloseDone()
	})
	return o, <-accepted
}

func back(o *observer, ctx context.Context, n int) (int, Outcome) {
	reply := -1
	out := o.Do(ctx, &Exchange{Method: "Echo.Back", Args: n, Reply: &reply})
	return reply, out
}

// lone makes calls until their callers read their own replies.
func (o *observer) lone(t *testing.T) {
	for n := range 10_000 {
		x := &Exchange{Method: "Echo.Back", Args: 1, Reply: new(int)}
		require.NoError(t, o.Do(t.Context(), x).Err)
		if x.reader {
			return
		}
		if n > 2*aloneAfter {
			time.Sleep(time.Millisecond) // a reply that is late comes first
		}
	}
	t.Fatal("no caller reads")
}
