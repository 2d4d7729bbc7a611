package etcd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"resilientrpc/rpcx/etcd/internal/process"
	"resilientrpc/rpcx/internal/leak"
)

// binary is the server that the tests run.
var binary string

// TestMain builds the server, which is a module of its own and not under test, so
// without the race detector.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if binary, err = process.Build(dir); err != nil {
		panic(err)
	}
	return leak.Run(m)
}

// A server is a real etcd that can be killed and started again with what it knew.
type server struct {
	t       *testing.T
	process *process.Server
}

func startServer(t *testing.T) *server {
	t.Helper()
	t.Parallel() // it mostly waits
	p, err := process.New(binary, t.TempDir())
	require.NoError(t, err)
	s := &server{t, p}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start returns when the server serves.
func (s *server) start() {
	s.t.Helper()
	require.NoError(s.t, s.process.Run())
}

// kill ends the server as kill -9 does.
func (s *server) kill() { s.process.Kill() }

// connect returns a client; its connections go through the gate if there is one.
func (s *server) connect(g *gate) *clientv3.Client {
	s.t.Helper()
	cfg := clientv3.Config{Endpoints: []string{s.process.URL}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	if g != nil {
		cfg.DialOptions = []grpc.DialOption{grpc.WithContextDialer(g.dial)}
	}
	c, err := clientv3.New(cfg)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// A gate is between a client and the server, and may be shut.
type gate struct {
	mu    sync.Mutex // protects following
	shut  bool
	conns []net.Conn
}

func (g *gate) dial(ctx context.Context, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, errors.New("the gate is shut")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

// set opens the gate, or shuts it and cuts what goes through it.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for _, conn := range g.conns {
			conn.Close()
		}
		g.conns = nil
	}
}
