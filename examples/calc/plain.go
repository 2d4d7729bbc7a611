package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"sync"
	"sync/atomic"
)

// A plain client is a usual hand-made client over net/rpc: one connection to each replica,
// round robin, and a new connection after an error. It has no timeouts and no retries, and
// does not remember failures.
type plain struct {
	dial  func(addr string) (*rpc.Client, error)
	slots []*slot
	next  atomic.Uint64
}

// A slot is the plain client's connection to one replica.
type slot struct {
	addr     string
	picks    atomic.Uint64
	inFlight atomic.Int64

	mu     sync.Mutex // protects following
	client *rpc.Client
	closed bool
}

// errNotSent marks a call of the plain client that never left.
var errNotSent = errors.New("not sent")

func newPlain(w wire, addrs []string) *plain {
	p := &plain{dial: w.dialPlain}
	for _, a := range addrs {
		p.slots = append(p.slots, &slot{addr: a})
	}
	return p
}

// Call sends one call to the replica whose turn it is.
func (p *plain) Call(method string, args, reply any) error {
	s := p.slots[p.next.Add(1)%uint64(len(p.slots))]
	s.picks.Add(1)
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)

	c, err := s.connect(p.dial)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	err = c.Call(method, args, reply)
	var server rpc.ServerError
	if err != nil && !errors.As(err, &server) {
		s.drop(c)
	}
	return err
}

// Close closes every connection, which ends the calls that hang on them.
func (p *plain) Close() error {
	for _, s := range p.slots {
		s.mu.Lock()
		c := s.client
		s.client, s.closed = nil, true
		s.mu.Unlock()
		if c != nil {
			c.Close()
		}
	}
	return nil
}

// usage says how often each replica was picked and how many calls it still owes.
func (p *plain) usage() []usageOf {
	var all []usageOf
	for _, s := range p.slots {
		all = append(all, usageOf{s.addr, s.picks.Load(), int(s.inFlight.Load())})
	}
	return all
}

func (s *slot) connect(dial func(string) (*rpc.Client, error)) (*rpc.Client, error) {
	s.mu.Lock()
	c, closed := s.client, s.closed
	s.mu.Unlock()
	if closed {
		return nil, rpc.ErrShutdown
	}
	if c != nil {
		return c, nil
	}
	c, err := dial(s.addr)
	if err != nil {
		return nil, err
	}
	winner, spare := s.keep(c)
	if spare != nil {
		spare.Close()
	}
	if winner == nil {
		return nil, rpc.ErrShutdown
	}
	return winner, nil
}

// keep stores a new connection unless another worker was faster or the client
// was closed meanwhile. It returns the one to use and the one to close.
func (s *slot) keep(c *rpc.Client) (winner, spare *rpc.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, c
	case s.client != nil:
		return s.client, c
	}
	s.client = c
	return c, nil
}

// drop forgets a broken connection, unless it has been replaced already.
func (s *slot) drop(c *rpc.Client) {
	s.mu.Lock()
	if s.client == c {
		s.client = nil
	}
	s.mu.Unlock()
	c.Close()
}
