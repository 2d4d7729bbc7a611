package server

import (
	"bytes"
	"io"
	"net"
	"net/rpc"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
)

// Bulk is a service with one large reply for all.
type Bulk struct {
	body []byte
	ran  atomic.Int64
}

func newBulk(size int) *Bulk { return &Bulk{body: bytes.Repeat([]byte("x"), size)} }

// Get implements a method.
func (b *Bulk) Get(_ int, reply *[]byte) error {
	b.ran.Add(1)
	*reply = b.body
	return nil
}

// bulkConfig returns a Config that serves b.
func bulkConfig(t *testing.T, b *Bulk, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) Config {
	t.Helper()
	cfg := config(t, b)
	cfg.NewCodec = newCodec
	return cfg
}

// askBulk asks n times for the large reply, and reads none.
func askBulk(t *testing.T, client rpc.ClientCodec, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "Bulk.Get", Seq: uint64(i)}, i))
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// mostHeap is how much memory was in use at most until the service had been at rest for a
// while.
func mostHeap(b *Bulk) (most uint64) {
	for rest, ran := time.Now(), int64(0); time.Since(rest) < 300*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		most = max(most, heap())
		if now := b.ran.Load(); now != ran {
			rest, ran = time.Now(), now
		}
	}
	return most
}

// narrow is a listener whose connections have small buffers in the kernel.
type narrow struct{ net.Listener }

const narrowBuffer = 32 << 10

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(narrowBuffer)
	}
	return conn, err
}

// dial returns a connection to l.
func (l narrow) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	tcp := conn.(*net.TCPConn)
	require.NoError(t, tcp.SetReadBuffer(narrowBuffer))
	return tcp
}

// A client that does not read its replies costs a few megabytes, not all of the replies;
// it gets them all once it reads, also if it has said that it asks no more.
func TestServeHoldsFewReplies(t *testing.T) {
	const requests, size = 64, 256 << 10
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			lis := narrow{listen(t)}
			bulk := newBulk(size)
			stop := serve(lis, bulkConfig(t, bulk, c.server))
			conn := lis.dial(t)
			before := heap()
			client := c.client(conn)
			askBulk(t, client, requests)
			require.NoError(t, conn.CloseWrite())
			require.Less(t, mostHeap(bulk), before+10<<20)
			n, err := io.Copy(io.Discard, conn) // to decode it all takes too long
			require.NoError(t, err)
			require.Greater(t, n, int64(requests*size), "all replies came")
			require.EqualValues(t, requests, bulk.ran.Load())
			require.NoError(t, client.Close())
			require.NoError(t, stop())
		})
	}
}

// The connection of a client that does not read ends, and Serve does not wait for it; one
// of a client that reads slowly lives on.
func TestServeEndsStalledConnections(t *testing.T) {
	t.Parallel()
	for name, c := range codecs {
		for _, half := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, network *simnet.Network) {
					bulk := newBulk(1 << 20)
					stop := serve(network.Listen("s:1"), bulkConfig(t, bulk, c.server))
					conn := dial(t, network)
					askBulk(t, c.client(conn), 50)
					if half {
						require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
					}
					time.Sleep(30 * time.Second)
					n, err := io.Copy(io.Discard, conn)
					require.NoError(t, err)
					require.Less(t, n, int64(1<<20), "it is over")
					require.NoError(t, conn.Close())
					require.NoError(t, stop())
				})
			})
		}
	}
	t.Run("slow", func(t *testing.T) {
		inBubble(t, func(t *testing.T, network *simnet.Network) {
			bulk := newBulk(1 << 20)
			stop := serve(network.Listen("s:1"), bulkConfig(t, bulk, codec.NewGobServer))
			conn := dial(t, network)
			askBulk(t, codec.NewGobClient(conn), 3)
			require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
			var got int64
			var err error
			for err == nil {
				time.Sleep(5 * time.Second)
				var n int64
				n, err = io.CopyN(io.Discard, conn, 10_000)
				got += n
			}
			require.ErrorIs(t, err, io.EOF)
			require.Greater(t, got, int64(3<<20))
			require.NoError(t, stop())
		})
	})
}

// A stalled connection does not keep Serve from stopping in time.
func TestServeStopsAmongStalledConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		bulk := newBulk(1 << 20)
		stop := serve(network.Listen("s:1"), bulkConfig(t, bulk, codec.NewGobServer))
		conn := dial(t, network)
		defer conn.Close()
		askBulk(t, codec.NewGobClient(conn), 50)
		synctest.Wait()
		begin := time.Now()
		stop() //nolint:errcheck // methods ran whose replies were not read
		require.LessOrEqual(t, time.Since(begin), 31*time.Second)
	})
}

// While replies wait for a client to read, no further request of it runs.
func TestServeReadsNoRequestsWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				const size = 256 << 10
				bulk := newBulk(size)
				stop := serve(network.Listen("s:1"), bulkConfig(t, bulk, c.server))
				conn := dial(t, network)
				client := c.client(conn)
				askBulk(t, client, 10) // more than there is room for
				synctest.Wait()
				ran := bulk.ran.Load()
				for range 5 {
					askBulk(t, client, 2)
					synctest.Wait()
				}
				require.LessOrEqual(t, bulk.ran.Load(), ran+1, "one may have been waited for already")
				require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
				n, err := io.Copy(io.Discard, conn)
				require.NoError(t, err)
				require.Greater(t, n, int64(20*size))
				require.NoError(t, stop())
			})
		})
	}
}
