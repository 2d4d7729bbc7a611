package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Proxy stands in front of one server and breaks what passes. It is safe for
// concurrent use.
type Proxy struct {
	Addr   string // where clients dial
	target string
	wg     sync.WaitGroup // the accept loop and two goroutines for each link

	mu     sync.Mutex // protects following
	fault  Fault
	change chan struct{} // closed when fault changes
	links  map[*link]struct{}
	rng    *rand.Rand
	over   bool
	lis    net.Listener  // nil while there is no listener
	gone   chan struct{} // closed when the accept loop of lis has ended
	full   io.Closer     // stands in lis's place under Backlog
}

// NewProxy starts a proxy for the server at target.
func NewProxy(target string, seed uint64) (*Proxy, error) {
	p := &Proxy{
		Addr: "127.0.0.1:0", target: target, change: make(chan struct{}),
		links: make(map[*link]struct{}), rng: rand.New(rand.NewPCG(seed, 1)),
	}
	if err := p.listen(); err != nil {
		return nil, err
	}
	p.Addr = p.lis.Addr().String() // for life; readers need no lock
	return p, nil
}

// Set puts the proxy under a fault, or with Healthy ends it. Process faults but
// Kill are none of its own.
func (p *Proxy) Set(f Fault) error {
	p.mu.Lock()
	p.fault = f
	close(p.change)
	p.change = make(chan struct{})
	links := p.alive()
	if f == HalfOpen {
		for _, l := range links {
			l.lost.Store(true)
		}
	}
	p.mu.Unlock()
	switch f {
	case Healthy:
		return p.listen()
	case Kill:
		p.deafen()
	case Backlog:
		p.deafen()
		if err := p.fill(); err != nil {
			return err
		}
	}
	switch f {
	case Kill, Backlog, Reset, Oversize:
		for _, l := range links {
			l.reset()
		}
	}
	return nil
}

// Close ends the proxy and its connections, and waits for its goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.over = true
	links := p.alive()
	p.mu.Unlock()
	p.deafen()
	p.empty()
	for _, l := range links {
		l.close()
	}
	p.wg.Wait()
}

// alive returns the links there are. The caller holds mu.
func (p *Proxy) alive() []*link {
	out := make([]*link, 0, len(p.links))
	for l := range p.links {
		out = append(out, l)
	}
	return out
}

// listen listens at the proxy's address, if there is no listener.
func (p *Proxy) listen() error {
	p.empty()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lis != nil || p.over {
		return nil
	}
	var err error
	for range 50 { // for the port may be somebody's own end of a connection
		if p.lis, err = net.Listen("tcp", p.Addr); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // until that is gone
	}
	if err != nil {
		p.lis = nil
		return fmt.Errorf("chaos: no proxy at %s: %w", p.Addr, err)
	}
	p.gone = make(chan struct{})
	lis, gone := p.lis, p.gone
	p.wg.Go(func() {
		defer close(gone)
		p.accept(lis)
	})
	return nil
}

// deafen closes the listener and waits until its port is free.
func (p *Proxy) deafen() {
	p.mu.Lock()
	lis, gone := p.lis, p.gone
	p.lis = nil
	p.mu.Unlock()
	if lis != nil {
		lis.Close()
		<-gone
	}
}

// fill listens with a queue that is full.
func (p *Proxy) fill() error {
	full, err := FullBacklog(p.Addr)
	if err != nil {
		return fmt.Errorf("chaos: no full backlog at %s: %w", p.Addr, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
	return nil
}

// empty ends what fill began.
func (p *Proxy) empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full != nil {
		p.full.Close()
		p.full = nil
	}
}

func (p *Proxy) accept(lis net.Listener) {
	for {
		client, err := lis.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve joins a client with the server until either ends.
func (p *Proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		abort(client)
		return
	}
	l := &link{proxy: p, client: client, server: server, done: make(chan struct{})}
	p.mu.Lock()
	f, over := p.fault, p.over
	l.rng = rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64()))
	l.quota = 200 + l.rng.IntN(4000)
	l.lost.Store(f == HalfOpen)
	if !over {
		p.links[l] = struct{}{}
	}
	p.mu.Unlock()
	defer l.end()
	if over || f == Kill || f == Backlog {
		l.reset()
		return
	}
	if f == Oversize {
		client.Write(oversized) //nolint:errcheck // its end will be seen
	}
	p.wg.Go(func() { l.pump(client, server, false) })
	l.pump(server, client, true)
}

// state returns the present fault, and what is closed when that changes.
func (p *Proxy) state() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.change
}

// abort closes a connection with RST.
func abort(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		t.SetLinger(0) //nolint:errcheck // it may be gone
	}
	conn.Close()
}
