package main

import (
	"errors"
	"math"
	"net/rpc"
	"sync"
	"time"
)

// A peer is another node, or a node as a client sees it. It is connected when it is called, and
// again after a failure.
type peer struct {
	socket string

	mu     sync.Mutex // protects following
	client *rpc.Client
}

// forever is time enough.
const forever = time.Duration(math.MaxInt64)

var errPatience = errors.New("no answer in time")

// call calls a method of the peer.
func (p *peer) call(method string, args, reply any) error {
	_, err := p.callWithin(forever, method, args, reply)
	return err
}

// callWithin calls a method of the peer, and leaves the call to itself when it has taken too
// long. The first result says whether it may have run, or may yet.
func (p *peer) callWithin(limit time.Duration, method string, args, reply any) (sent bool, err error) {
	client, err := p.connect()
	if err != nil {
		return false, err
	}
	call := client.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		err = call.Error
	case <-time.After(limit):
		return true, errPatience
	}
	if _, answered := err.(rpc.ServerError); err != nil && !answered {
		p.drop(client)
	}
	return true, err
}

func (p *peer) connect() (*rpc.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	client, err := rpc.Dial("unix", p.socket)
	if err != nil {
		return nil, err
	}
	p.client = client
	return client, nil
}

func (p *peer) drop(client *rpc.Client) {
	p.mu.Lock()
	current := p.client == client
	if current {
		p.client = nil
	}
	p.mu.Unlock()
	if current {
		client.Close()
	}
}
