package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// pools is a client after the manner of Consul's agents: for each server a pool of streams
// over one connection, of which a call has one to itself. The first server of
// the list gets all calls, until one fails; then it becomes the last. A call that failed
// is tried again, after a short pause, until its time is up.
type pools struct {
	mu   sync.Mutex // protects following
	list []*pool
}

// maxPoolPause is the longest pause before a further try, a sixteenth of the time that
// Consul's agents try for.
const maxPoolPause = whole / 16

func dialPools(addrs []string, o options) (client, error) {
	p := new(pools)
	for _, a := range addrs {
		p.list = append(p.list, &pool{addr: a, o: o})
	}
	return connected(p)
}

func (p *pools) call(ctx context.Context, m method, in Message) (Message, error) {
	var sent int
	for deadline := time.Now().Add(whole); ; {
		first := p.first()
		out, err := first.call(ctx, m, in)
		if err == nil || answered(err) {
			return out, err
		}
		p.failed(first)
		if !errors.Is(err, errNotSent) {
			sent++
		}
		if !again(m, err) || sent == tries || time.Now().After(deadline) || rest(ctx, rand.N(maxPoolPause)) != nil {
			return out, err
		}
	}
}

func (p *pools) first() *pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list[0]
}

// failed makes a server the last, unless another call has done so.
func (p *pools) failed(bad *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list[0] == bad {
		p.list = append(p.list[1:], bad)
	}
}

// Close implements io.Closer.
func (p *pools) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, one := range p.list {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// pool is one server's.
type pool struct {
	addr string
	o    options

	mu      sync.Mutex     // protects following
	session *yamux.Session // nil before the first call
	idle    []*stream      // of session
	dialing *dialing       // nil if no call connects
	closed  bool
}

// dialing is what one call does and the others wait for.
type dialing struct {
	done    chan struct{}
	session *yamux.Session // as err, set before done is closed
	err     error
}

// call makes one attempt.
func (p *pool) call(ctx context.Context, m method, in Message) (Message, error) {
	deadline := time.Now().Add(p.o.patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	s, err := p.get(ctx)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", errNotSent, err)
	}
	out, err := s.exchange(deadline, m, in)
	if err != nil && !answered(err) {
		s.Close()
		return Message{}, err
	}
	p.put(s)
	return out, err
}

// get returns a stream that no call uses.
func (p *pool) get(ctx context.Context) (*stream, error) {
	session, s, err := p.current(ctx)
	if s != nil || err != nil {
		return s, err
	}
	conn, err := session.Open()
	if err != nil {
		return nil, err
	}
	return newStream(session, conn), nil
}

// current returns a session that is up, and a stream of it, if one is idle.
func (p *pool) current(ctx context.Context) (*yamux.Session, *stream, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, errClosed
	}
	if p.session != nil && !p.session.IsClosed() {
		defer p.mu.Unlock()
		var s *stream
		if last := len(p.idle) - 1; last >= 0 {
			s, p.idle = p.idle[last], p.idle[:last]
		}
		return p.session, s, nil
	}
	d := p.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		p.dialing = d
		go p.dial(d)
	}
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.session, nil, d.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// dial makes a new session.
func (p *pool) dial(d *dialing) {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.patience)
	defer cancel()
	defer close(d.done)
	conn, err := p.o.netDial(ctx, "tcp", p.addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = nil
	switch {
	case err != nil:
		d.err = err
	case p.closed:
		d.err = errors.Join(errClosed, conn.Close())
	default:
		if d.session, d.err = yamux.Client(conn, yamuxConfig(p.o.patience)); d.err == nil {
			p.session, p.idle = d.session, nil
		}
	}
}

// yamuxConfig has keepalives find a dead peer; by default that takes up to 40 s.
func yamuxConfig(patience time.Duration) *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	c.KeepAliveInterval, c.ConnectionWriteTimeout, c.StreamOpenTimeout = patience, patience, patience
	return c
}

// put makes a stream idle.
func (p *pool) put(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.session != s.session {
		s.Close()
		return
	}
	p.idle = append(p.idle, s)
}

// Close implements io.Closer.
func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.session == nil {
		return nil
	}
	return p.session.Close()
}

// stream has one call at a time, with net/rpc's messages: it needs no goroutine that
// reads replies, as net/rpc's Client does.
type stream struct {
	net.Conn
	session *yamux.Session
	out     *bufio.Writer
	enc     *gob.Encoder
	dec     *gob.Decoder
	seq     uint64
}

func newStream(session *yamux.Session, conn net.Conn) *stream {
	out := bufio.NewWriter(conn)
	return &stream{Conn: conn, session: session, out: out, enc: gob.NewEncoder(out), dec: gob.NewDecoder(bufio.NewReader(conn))}
}

func (s *stream) exchange(deadline time.Time, m method, in Message) (out Message, err error) {
	s.seq++
	err = errors.Join(
		s.SetDeadline(deadline),
		s.enc.Encode(&rpc.Request{ServiceMethod: string(m), Seq: s.seq}),
		s.enc.Encode(&in),
		s.out.Flush())
	if err != nil {
		return Message{}, err
	}
	var head rpc.Response
	if err := s.dec.Decode(&head); err != nil {
		return Message{}, err
	}
	if head.Error != "" {
		if err := s.dec.Decode(new(struct{})); err != nil { // the body of an error is empty
			return Message{}, err
		}
		return Message{}, appError{rpc.ServerError(head.Error)}
	}
	return out, s.dec.Decode(&out)
}
