package main

import (
	"net"
	"net/rpc"
	"sync"

	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc/v2"
	"github.com/hashicorp/yamux"
)

// maxFree is how many idle streams a pool keeps.
const maxFree = 4

// A pool has one connection to the server, and a client for each of its streams. A stream has
// one call at a time.
type pool struct {
	addr string

	mu      sync.Mutex // protects following
	session *yamux.Session
	free    []*rpc.Client
}

// call calls a method on a stream of its own.
func (p *pool) call(method string, args, reply any) error {
	client, err := p.get()
	if err != nil {
		return err
	}
	err = client.Call(method, args, reply)
	if _, answered := err.(rpc.ServerError); err == nil || answered {
		p.put(client)
		return err
	}
	client.Close()
	p.forget()
	return err
}

// get returns a client that nothing else uses.
func (p *pool) get() (*rpc.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		client := p.free[n-1]
		p.free = p.free[:n-1]
		return client, nil
	}
	if p.session == nil || p.session.IsClosed() {
		if err := p.connect(); err != nil {
			return nil, err
		}
	}
	stream, err := p.session.Open()
	if err != nil {
		return nil, err
	}
	codec := msgpackrpc.NewCodecFromHandle(true, true, stream, handle)
	return rpc.NewClientWithCodec(streamCodec{codec, stream}), nil
}

// streamCodec closes the stream in place of the codec, whose Close writes what its reader reads.
type streamCodec struct {
	rpc.ClientCodec
	stream net.Conn
}

func (c streamCodec) Close() error { return c.stream.Close() }

// connect makes the connection. The caller holds mu.
func (p *pool) connect() error {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte{typeMultiplex}); err != nil {
		conn.Close()
		return err
	}
	p.session, err = yamux.Client(conn, nil)
	return err
}

// put takes a client back.
func (p *pool) put(client *rpc.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < maxFree && !p.session.IsClosed() {
		p.free = append(p.free, client)
		return
	}
	client.Close()
}

// forget drops the connection after a failure.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, client := range p.free {
		client.Close()
	}
	p.free = nil
	if p.session != nil {
		p.session.Close()
	}
}
