package rpcx_test

import (
	"compress/flate"
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// deflated is a connection whose bytes are compressed, as syzkaller's is. Its methods
// are no safer than flate's writer.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func deflate(conn net.Conn) net.Conn {
	w, err := flate.NewWriter(conn, 1)
	if err != nil {
		panic(err)
	}
	return &deflated{conn, flate.NewReader(conn), w}
}

func (d *deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, d.w.Flush()
}

func (d *deflated) Close() error { return errors.Join(d.w.Close(), d.Conn.Close()) }

// deflating serves Parrot over such connections, and returns how to end them all.
func deflating(t *testing.T) (address string, kill func()) {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Parrot{}))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var conns []net.Conn
	kill = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it says goodbye then
			c.Close()
		}
		conns = nil
	}
	t.Cleanup(func() { lis.Close(); kill() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			go server.ServeConn(deflate(conn))
		}
	}()
	return lis.Addr().String(), kill
}

// deflatedClients are the ways to a client over one.
var deflatedClients = map[string]func(t *testing.T, address string) *rpcx.Client{
	"NewClient": func(t *testing.T, address string) *rpcx.Client {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		return rpcx.NewClient(deflate(conn))
	},
	"NewClient without deadlines": func(t *testing.T, address string) *rpcx.Client {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		return rpcx.NewClient(struct{ io.ReadWriteCloser }{deflate(conn)})
	},
	"NetDial": func(t *testing.T, address string) *rpcx.Client {
		d := rpcx.Dialer{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return deflate(conn), nil
		}}
		c, err := d.Dial("tcp", address)
		require.NoError(t, err)
		return c
	},
}

// busy has callers call until stop says so, and returns once they have begun.
func busy(t *testing.T, c *rpcx.Client) (stop func()) {
	var wg sync.WaitGroup
	var called atomic.Int64
	var stopped atomic.Bool
	for range 16 {
		wg.Go(func() {
			for !stopped.Load() && c.Call("Parrot.Int", 7, new(int)) == nil {
				called.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return called.Load() > 100 }, 20*time.Second, time.Millisecond)
	return func() { stopped.Store(true); wg.Wait() }
}

// When the server died under a client over a compressed connection (syzkaller's), the
// connection was closed under its own writer, and compress/flate panicked.
func TestServerDiesUnderADeflatedConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range deflatedClients {
		t.Run(name, func(t *testing.T) {
			address, kill := deflating(t)
			for range 6 {
				c := dial(t, address)
				stop := busy(t, c)
				kill()
				stop()
				c.Close()
			}
		})
	}
}

// Call, and then Close, was a data race.
func TestCallThenCloseOfADeflatedConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range deflatedClients {
		t.Run(name, func(t *testing.T) {
			address, _ := deflating(t)
			for range 15 {
				c := dial(t, address)
				require.NoError(t, c.Call("Parrot.Int", 7, new(int)))
				require.NoError(t, c.Close())
			}
		})
	}
}

// Close comes while calls are being written.
func TestCloseAmongCallsOfADeflatedConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range deflatedClients {
		t.Run(name, func(t *testing.T) {
			address, _ := deflating(t)
			for range 6 {
				c := dial(t, address)
				stop := busy(t, c)
				c.Close()
				stop()
			}
		})
	}
}

// alone notes uses at once of what bears one at a time.
type alone struct {
	busy  atomic.Int64
	clash atomic.Bool
}

func (a *alone) use(f func() error) error {
	defer a.busy.Add(-1)
	if a.busy.Add(1) > 1 {
		a.clash.Store(true)
	}
	return f()
}

// lonely is a connection whose writes and Close come one at a time. What is written
// stays on its way, as to a peer that does not read, until its deadline or cut.
type lonely struct {
	net.Conn
	alone
	deadlines bool
	cut       chan struct{} // closed by a deadline that has passed
	once      sync.Once
	writing   chan struct{} // has room
}

func (l *lonely) Write([]byte) (int, error) {
	return 0, l.use(func() error {
		select {
		case l.writing <- struct{}{}:
		default:
		}
		<-l.cut
		return errors.New("cut")
	})
}

func (l *lonely) SetWriteDeadline(at time.Time) error {
	if !l.deadlines {
		return errors.ErrUnsupported
	}
	if at.Before(time.Now()) {
		l.once.Do(func() { close(l.cut) })
	}
	return nil
}

func (l *lonely) Close() error {
	return l.use(func() error {
		l.once.Do(func() { close(l.cut) })
		return l.Conn.Close()
	})
}

func newLonely(deadlines bool) *lonely {
	near, _ := net.Pipe()
	return &lonely{Conn: near, deadlines: deadlines, cut: make(chan struct{}), writing: make(chan struct{}, 1)}
}

// A write that is stuck is ended by a deadline before the connection is closed; only
// where there is none is Close left to end it.
func TestStuckWriteIsEndedBeforeClose(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*rpcx.Client, <-chan error){
		"Close":      func(c *rpcx.Client, _ <-chan error) { c.Close() },
		"conviction": func(c *rpcx.Client, called <-chan error) { <-called; c.Close() },
	} {
		for kind, codec := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{"gob": nil, "foreign": stdjson.NewClientCodec} {
			inBubble(t, name+"/"+kind, func(t *testing.T) {
				conn := newLonely(true)
				c := newClient(t, rpcx.Dialer{Codec: codec, DetectionTime: 400 * time.Millisecond}, conn)
				called := make(chan error, 2)
				go func() { called <- c.Call("A.B", 1, new(int)) }()
				<-conn.writing
				end(c, called)
				require.False(t, conn.clash.Load(), "closed under its writer")

				conn = newLonely(false)
				c = newClient(t, rpcx.Dialer{Codec: codec, Heartbeat: -1}, conn)
				go func() { called <- c.Call("A.B", 1, new(int)) }()
				<-conn.writing
				require.NoError(t, c.Close(), "which ends the writer")
			})
		}
	}
}

// lonelyCodec is a codec that bears one user at a time, apart from its reader.
type lonelyCodec struct {
	rpc.ClientCodec
	*alone
}

func (l lonelyCodec) WriteRequest(r *rpc.Request, args any) error {
	return l.use(func() error {
		time.Sleep(time.Duration(r.Seq%4) * 50 * time.Microsecond) // it encodes
		return l.ClientCodec.WriteRequest(r, args)
	})
}

func (l lonelyCodec) Close() error { return l.use(l.ClientCodec.Close) }

// A msgpack codec's Close, which flushes, raced its WriteRequest.
func TestCodecIsNotClosedWhileItWrites(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func(lonelyCodec, io.ReadWriteCloser) *rpcx.Client{
		"NewClientWithCodec": func(l lonelyCodec, conn io.ReadWriteCloser) *rpcx.Client {
			l.ClientCodec = stdjson.NewClientCodec(conn)
			return rpcx.NewClientWithCodec(l)
		},
		"Dialer.Codec": func(l lonelyCodec, conn io.ReadWriteCloser) *rpcx.Client {
			return newClient(t, rpcx.Dialer{Codec: func(conn io.ReadWriteCloser) rpc.ClientCodec {
				l.ClientCodec = stdjson.NewClientCodec(conn)
				return l
			}}, conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 30 {
				users := new(alone)
				c := client(lonelyCodec{alone: users}, parrot(t, parrotJSON))
				var wg sync.WaitGroup
				var called atomic.Int64
				for range 8 {
					wg.Go(func() {
						for c.CallContext(t.Context(), "Parrot.Int", 7, new(int)) == nil {
							called.Add(1)
						}
					})
				}
				require.Eventually(t, func() bool { return called.Load() > 20 }, 20*time.Second, time.Millisecond)
				require.NoError(t, c.Close())
				wg.Wait()
				require.False(t, users.clash.Load(), "closed while it writes")
			}
		})
	}
}

// exploding is a connection whose Write panics, as one that was closed may.
type exploding struct{ net.Conn }

func (exploding) Write([]byte) (int, error) { panic("closed") }

// It is no goroutine of the caller's in which that happens.
func TestWriteThatPanicsEndsItsConnection(t *testing.T) {
	leak.Check(t)
	near, far := net.Pipe()
	defer far.Close()
	c := rpcx.NewClient(exploding{near})
	defer c.Close()
	require.ErrorContains(t, c.Call("A.B", 1, new(int)), "Write panicked: closed")
}
