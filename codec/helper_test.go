package codec_test

import (
	"bytes"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// tape is a connection that replays the bytes of a peer and records each Write. After the
// last byte Read returns end, or io.EOF if end is nil.
type tape struct {
	play    io.Reader
	end     error
	writes  [][]byte
	refuse  error // what Write returns, if set
	closed  int
	written bytes.Buffer
}

func play(b []byte) *tape { return &tape{play: bytes.NewReader(b)} }

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.play.Read(p)
	if err == io.EOF && t.end != nil {
		err = t.end
	}
	return n, err
}

func (t *tape) Write(p []byte) (int, error) {
	if t.refuse != nil {
		return 0, t.refuse
	}
	t.writes = append(t.writes, bytes.Clone(p))
	return t.written.Write(p)
}

func (t *tape) Close() error { t.closed++; return nil }

// tee records what passes through a connection in either direction.
type tee struct {
	io.ReadWriteCloser
	mu      sync.Mutex // protects following
	in, out bytes.Buffer
	writes  int
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in.Write(p[:n])
	return n, err
}

func (t *tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.out.Write(p)
	t.writes++
	t.mu.Unlock()
	return t.ReadWriteCloser.Write(p)
}

func (t *tee) sent() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.out.Bytes())
}

func (t *tee) received() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.in.Bytes())
}

// format is a wire format with the standard library's codecs and ours.
type format struct {
	name        string
	stockClient func(io.ReadWriteCloser) *rpc.Client
	stockServer func(*rpc.Server, io.ReadWriteCloser)
	client      func(io.ReadWriteCloser) rpc.ClientCodec
	server      func(io.ReadWriteCloser) rpc.ServerCodec
}

var (
	gobFormat = format{
		"gob",
		rpc.NewClient,
		(*rpc.Server).ServeConn,
		codec.NewGobClient, codec.NewGobServer,
	}
	jsonFormat = format{
		"json",
		jsonrpc.NewClient,
		func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(jsonrpc.NewServerCodec(c)) },
		codec.NewJSONClient, codec.NewJSONServer,
	}
	formats = []format{gobFormat, jsonFormat}
)

func (f format) ourClient(c io.ReadWriteCloser) *rpc.Client {
	return rpc.NewClientWithCodec(f.client(c))
}

func (f format) ourServer(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(f.server(c)) }

type pipeFunc func(testing.TB) (net.Conn, net.Conn)

// pipes are the connections that tests run over.
var pipes = map[string]pipeFunc{
	"pipe": func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() },
	"tcp":  tcpPipe,
}

func tcpPipe(t testing.TB) (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	return a, b
}

// session is a client and a server joined by a connection, both ends recorded.
type session struct {
	*rpc.Client
	wire   *tee // the client's end
	server *tee
	done   chan struct{} // closed when the server has ended
}

// finished waits until the server has run all requests.
func (s *session) finished(t testing.TB) {
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		t.Error("the server did not end with its connection")
	}
}

func join(t testing.TB, a, b net.Conn, client func(io.ReadWriteCloser) *rpc.Client, serve func(*rpc.Server, io.ReadWriteCloser)) *session {
	s := &session{wire: &tee{ReadWriteCloser: a}, server: &tee{ReadWriteCloser: b}, done: make(chan struct{})}
	server := newServer()
	go func() {
		defer close(s.done)
		serve(server, s.server)
	}()
	s.Client = client(s.wire)
	t.Cleanup(func() {
		s.Close() //nolint:errcheck // a test may have closed it
		s.finished(t)
	})
	return s
}

func newServer() *rpc.Server {
	s := rpc.NewServer()
	if err := s.RegisterName("Echo", Echo{}); err != nil {
		panic(err)
	}
	return s
}
