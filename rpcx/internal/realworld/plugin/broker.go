package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/rpc"
	"sync"

	"github.com/hashicorp/yamux"
)

// stdio is the two pipes of a process as one connection.
type stdio struct {
	io.ReadCloser
	out io.WriteCloser
}

func (s stdio) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s stdio) Close() error {
	s.out.Close()
	return s.ReadCloser.Close()
}

// A broker names the streams of a session, so that one side can tell the other which of its
// services a stream is for.
type broker struct {
	session *yamux.Session

	mu      sync.Mutex // protects following
	next    uint32
	servers map[uint32]*rpc.Server
}

func newBroker(session *yamux.Session) *broker {
	return &broker{session: session, servers: make(map[uint32]*rpc.Server)}
}

// offer serves a service on streams of the number that it returns, until withdraw.
func (b *broker) offer(name string, service any) (uint32, error) {
	server := rpc.NewServer()
	if err := server.RegisterName(name, service); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	b.servers[b.next] = server
	return b.next, nil
}

func (b *broker) withdraw(id uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.servers, id)
}

// run serves the streams that the other side opens, until the session ends.
func (b *broker) run() {
	for {
		stream, err := b.session.Accept()
		if err != nil {
			return
		}
		go b.serve(stream)
	}
}

func (b *broker) serve(stream net.Conn) {
	defer stream.Close()
	var id uint32
	if err := binary.Read(stream, binary.LittleEndian, &id); err != nil {
		return
	}
	b.mu.Lock()
	server := b.servers[id]
	b.mu.Unlock()
	if server != nil {
		server.ServeConn(stream)
	}
}

// dial returns a client of a service that the other side offers.
func (b *broker) dial(id uint32) (*rpc.Client, error) {
	stream, err := b.session.Open()
	if err != nil {
		return nil, err
	}
	if err := binary.Write(stream, binary.LittleEndian, id); err != nil {
		stream.Close()
		return nil, err
	}
	return rpc.NewClient(stream), nil
}
