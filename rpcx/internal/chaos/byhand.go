package chaos

import (
	"errors"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"sync"
	"sync/atomic"
	"time"
)

// ByHand is what people write over net/rpc: round robin, a new connection after
// an error, and for an idempotent call another try or two.
type ByHand struct {
	Addrs      []string
	JSON       bool
	Idempotent func(serviceMethod string) bool // nil for none
	Patience   time.Duration                   // for one try; 0 for ever

	turn    atomic.Uint64
	mu      sync.Mutex // protects following
	clients map[string]*rpc.Client
	closed  bool
}

// Call calls the method, as net/rpc's client does.
func (b *ByHand) Call(method string, args, reply any) error {
	tries := 1
	if b.Idempotent != nil && b.Idempotent(method) {
		tries = len(b.Addrs)
	}
	var err error
	for range tries {
		err = b.try(method, args, reply)
		var answer rpc.ServerError
		if err == nil || errors.Is(err, rpc.ErrShutdown) && b.over() || errors.As(err, &answer) {
			return err
		}
	}
	return err
}

var errImpatient = errors.New("no answer in time")

func (b *ByHand) try(method string, args, reply any) error {
	addr := b.Addrs[b.turn.Add(1)%uint64(len(b.Addrs))]
	c, err := b.client(addr)
	if err != nil {
		return err
	}
	// A reply of its own, for a late answer is decoded into it.
	own := new(Slip)
	call := c.Go(method, args, own, make(chan *rpc.Call, 1))
	var late <-chan time.Time
	if b.Patience > 0 {
		t := time.NewTimer(b.Patience)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-call.Done:
		err = call.Error
		*reply.(*Slip) = *own
	case <-late:
		err = errImpatient
	}
	var answer rpc.ServerError
	if err != nil && !errors.As(err, &answer) {
		b.drop(addr, c)
	}
	return err
}

func (b *ByHand) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *ByHand) drop(addr string, c *rpc.Client) {
	b.mu.Lock()
	if b.clients[addr] == c {
		delete(b.clients, addr)
	}
	b.mu.Unlock()
	c.Close()
}

func (b *ByHand) client(addr string) (*rpc.Client, error) {
	b.mu.Lock()
	c, closed := b.clients[addr], b.closed
	b.mu.Unlock()
	switch {
	case closed:
		return nil, rpc.ErrShutdown
	case c != nil:
		return c, nil
	}
	dial := rpc.Dial
	if b.JSON {
		dial = jsonrpc.Dial
	}
	c, err := dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.Close()
		return nil, rpc.ErrShutdown
	}
	if old := b.clients[addr]; old != nil {
		old.Close() // two were as fast; its calls fail, as they do in such code
	}
	if b.clients == nil {
		b.clients = make(map[string]*rpc.Client)
	}
	b.clients[addr] = c
	return c, nil
}

// Close implements io.Closer.
func (b *ByHand) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, c := range b.clients {
		c.Close()
	}
	clear(b.clients)
	return nil
}

var _ io.Closer = (*ByHand)(nil)
