package browser_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/rpc"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Clerk is the service of the servers in memory.
type Clerk struct{}

// Echo returns what it is given.
func (Clerk) Echo(in string, out *string) error {
	*out = in
	return nil
}

// memory is servers in this process, one behind every address there is, but for those
// that are out.
type memory struct {
	server *rpc.Server

	mu    sync.Mutex // protects following
	out   map[string]error
	conns map[string][]net.Conn
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	log.SetOutput(io.Discard) // net/rpc's server logs what is done to it
	m := &memory{server: rpc.NewServer(), out: make(map[string]error), conns: make(map[string][]net.Conn)}
	require.NoError(t, m.server.Register(Clerk{}))
	return m
}

func (m *memory) dial(_ context.Context, _, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.out[address]; err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	m.conns[address] = append(m.conns[address], near)
	go m.server.ServeConn(far)
	return near, nil
}

// fail takes a server away: dials of it fail with this text.
func (m *memory) fail(address, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out[address] = errors.New(text)
	for _, c := range m.conns[address] {
		c.Close()
	}
}

// client returns a client of servers at these addresses, which ends with the test.
func (m *memory) client(t *testing.T, heartbeat time.Duration, addresses ...string) *rpcx.Client {
	t.Helper()
	set := make([]rpcx.Endpoint, len(addresses))
	for i, a := range addresses {
		set[i] = rpcx.Endpoint{Address: a, Metadata: map[string]string{"zone": "<b>1</b>"}}
	}
	d := rpcx.Dialer{NetDial: m.dial, Resolver: rpcx.Static(set...), Subset: -1, Heartbeat: heartbeat, Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}}
	c, err := d.Dial("tcp")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
