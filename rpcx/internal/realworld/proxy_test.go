//go:build unix

package realworld

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A condition is what a proxy does to what would pass.
type condition int

const (
	passing condition = iota
	stalled           // nothing passes, and nothing is lost
	refused           // connections end
)

// A proxy stands between a socket and the one that clients of it are given.
type proxy struct {
	target string
	lis    net.Listener
	wg     sync.WaitGroup

	mu        sync.Mutex // protects following
	changed   *sync.Cond // condition or over
	condition condition
	over      bool
	conns     map[net.Conn]struct{}
}

// newProxy starts a proxy, which ends with the test.
func newProxy(t *testing.T, socket, target string) *proxy {
	t.Helper()
	lis, err := net.Listen("unix", socket)
	require.NoError(t, err)
	p := &proxy{target: target, lis: lis, conns: make(map[net.Conn]struct{})}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		lis.Close()
		p.mu.Lock()
		p.over = true
		p.changed.Broadcast()
		p.mu.Unlock()
		p.cut()
		p.wg.Wait()
	})
	return p
}

// set puts the proxy in a condition. Only refused ends connections.
func (p *proxy) set(c condition) {
	p.mu.Lock()
	p.condition = c
	p.changed.Broadcast()
	p.mu.Unlock()
	if c == refused {
		p.cut()
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.lis.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve joins a client with the target until either ends.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.mayPass() {
		return
	}
	server, err := net.Dial("unix", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.add(client, server) {
		return
	}
	defer p.remove(client, server)
	p.wg.Go(func() {
		defer client.Close()
		p.pump(server, client)
	})
	p.pump(client, server)
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return !p.over && p.condition != refused
}

func (p *proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// pump passes bytes on until a connection ends, which ends the other.
func (p *proxy) pump(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.mayPass() {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// mayPass waits while the proxy is stalled, and reports whether it passes anything at all.
func (p *proxy) mayPass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.condition == stalled && !p.over {
		p.changed.Wait()
	}
	return p.condition == passing && !p.over
}
