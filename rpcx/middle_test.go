package rpcx_test

import (
	"context"
	"net"
	"sync"

	"resilientrpc/rpcx/internal/simnet"
)

// middle is a proxy in virtual time. It holds back bytes while a gate is shut, and what a client
// has sent reaches the server although the client's connection has broken.
type middle struct {
	network *simnet.Network
	target  string

	mu       sync.Mutex // protects following
	up, down gate
	links    []*relayed
	loses    func(reply []byte) bool // what does not arrive; nil for nothing
}

// gate is one direction; it is open while hold is nil, and hold is closed when it opens.
type gate struct{ hold chan struct{} }

type relayed struct {
	client, server net.Conn
}

func newMiddle(network *simnet.Network, addr, target string) *middle {
	r := &middle{network: network, target: target}
	lis := network.Listen(addr)
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *middle) serve(client net.Conn) {
	server, err := r.network.DialContext(context.Background(), "tcp", r.target)
	if err != nil {
		client.Close()
		return
	}
	l := &relayed{client: client, server: server}
	r.mu.Lock()
	r.links = append(r.links, l)
	r.mu.Unlock()
	go r.pump(server, client, &r.up)
	r.pump(client, server, &r.down)
}

// pump carries what src sends to dst, when the gate is open. What has been read before the end
// of src arrives before the end does.
func (r *middle) pump(dst, src net.Conn, g *gate) {
	type piece struct {
		b   []byte
		err error
	}
	pieces := make(chan piece, 1<<12)
	go func() {
		for {
			b := make([]byte, 4<<10)
			n, err := src.Read(b)
			pieces <- piece{b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	defer dst.Close()
	for p := range pieces {
		r.wait(g)
		r.mu.Lock()
		lost := r.loses != nil && g == &r.down && r.loses(p.b)
		r.mu.Unlock()
		if lost {
			continue
		}
		if _, err := dst.Write(p.b); err != nil || p.err != nil {
			return
		}
	}
}

func (r *middle) wait(g *gate) {
	for {
		r.mu.Lock()
		hold := g.hold
		r.mu.Unlock()
		if hold == nil {
			return
		}
		<-hold
	}
}

// shut and open change a gate.
func (r *middle) shut(g *gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.hold == nil {
		g.hold = make(chan struct{})
	}
}

func (r *middle) open(g *gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.hold != nil {
		close(g.hold)
		g.hold = nil
	}
}

// swap opens a gate for what comes from now on, and returns what opens it for what it holds.
func (r *middle) swap(g *gate) (hold chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hold = g.hold
	g.hold = nil
	return hold
}

// breakClients ends the clients' ends of all connections there are. The server's ends live
// until what is on its way has arrived.
func (r *middle) breakClients() {
	r.mu.Lock()
	links := r.links
	r.links = nil
	r.mu.Unlock()
	for _, l := range links {
		l.client.Close()
	}
}
