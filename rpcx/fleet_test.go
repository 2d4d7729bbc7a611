package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
)

// idempotent returns options by which the methods of a pattern may be run twice.
func idempotent(pattern string) map[string]rpcx.MethodOptions {
	return map[string]rpcx.MethodOptions{pattern: {Idempotent: rpcx.Yes}}
}

// A Deposit must not happen twice; ID tells one from another.
type Deposit struct{ ID, Amount int }

// Bank is the service of the tests: one for each replica, and one ledger for all.
type Bank struct {
	name   string
	ledger *ledger
}

// A ledger counts executions by id, over all replicas.
type ledger struct {
	mu   sync.Mutex // protects following
	runs map[int]int
}

func (l *ledger) add(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id]++
}

func (l *ledger) count(id int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[id]
}

func (b *Bank) Deposit(d Deposit, total *int) error {
	b.ledger.add(d.ID)
	*total = d.Amount
	return nil
}

func (b *Bank) SlowDeposit(d Deposit, total *int) error {
	b.ledger.add(d.ID)
	time.Sleep(time.Duration(d.Amount) * time.Second) // virtual
	*total = d.Amount
	return nil
}

func (b *Bank) Where(_ struct{}, name *string) error {
	*name = b.name
	return nil
}

func (b *Bank) Sleep(d time.Duration, name *string) error {
	time.Sleep(d) // virtual
	*name = b.name
	return nil
}

// Measure has a large argument and a small reply. Replies of a stock server that do not fit
// into the network wait under its lock, which virtual time does not know.
func (b *Bank) Measure(in string, length *int) error {
	*length = len(in)
	return nil
}

func (b *Bank) Echo(in string, out *string) error {
	*out = in
	return nil
}

// An Order has something of every kind that a caller may change behind a pointer.
type Order struct {
	Takes  time.Duration // virtual
	Items  []string
	Counts map[string][]int
	Next   *Order
	seen   func() // private: not sent
}

func newOrder(takes time.Duration) *Order {
	return &Order{
		Takes: takes, Items: []string{"a", "b"}, Counts: map[string][]int{"a": {1, 2}, "b": nil},
		Next: &Order{Items: []string{"c"}}, seen: func() {},
	}
}

// spoil changes all that it can reach.
func (o *Order) spoil() {
	o.Takes = time.Hour
	o.Items[0] = "spoilt"
	o.Counts["a"][0] = -1
	o.Counts["new"] = []int{9}
	o.Next.Items[0] = "spoilt"
	o.Next = nil
	o.seen = nil
}

func (b *Bank) Place(o *Order, out *Order) error {
	time.Sleep(o.Takes)
	*out = *o
	return nil
}

// Sealed encodes itself, from private state behind a pointer.
type Sealed struct{ text *string }

func (s Sealed) GobEncode() ([]byte, error) { return []byte(*s.text), nil }

func (s *Sealed) GobDecode(b []byte) error {
	text := string(b)
	s.text = &text
	return nil
}

func (b *Bank) Open(s Sealed, out *string) error {
	time.Sleep(time.Second) // virtual
	*out = *s.text
	return nil
}

func (b *Bank) Fill(n int, out *string) error {
	*out = strings.Repeat("x", n)
	return nil
}

func (b *Bank) Refuse(why string, _ *struct{}) error { return errors.New(why) }

// A fleet is a network of stock servers in virtual time.
type fleet struct {
	*simnet.Network
	t      *testing.T
	addrs  []string
	ledger *ledger
	dialer rpcx.Dialer
	serve  func(*rpc.Server, io.ReadWriteCloser)
}

// inFleet runs f in virtual time with n stock servers "a:1", "b:1" and so on.
func inFleet(t *testing.T, n int, f func(*testing.T, *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fl := &fleet{Network: simnet.New(), t: t, ledger: &ledger{runs: make(map[int]int)}}
		defer time.Sleep(2 * time.Hour) // until the slowest method has run out
		defer fl.Close()
		fl.serve = func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeConn(c) }
		fl.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return fl.DialContext(ctx, network, address)
		}
		for i := range n {
			addr := fmt.Sprintf("%c:1", 'a'+i)
			if i >= 26 {
				addr = fmt.Sprintf("z%d:1", i)
			}
			fl.addrs = append(fl.addrs, addr)
			fl.Delay(addr, time.Millisecond)
			fl.start(addr)
		}
		f(t, fl)
	})
}

// start lets a server listen at addr, as after a restart.
func (f *fleet) start(addr string) {
	server := sync.OnceValue(func() *rpc.Server { // most of a large fleet are never connected to
		s := rpc.NewServer()
		if err := s.RegisterName("Bank", &Bank{name: addr, ledger: f.ledger}); err != nil {
			panic(err)
		}
		return s
	})
	ln := f.Listen(addr)
	serve := f.serve
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(server(), conn)
		}
	}()
}

// kill does to a server what SIGKILL does to its process.
func (f *fleet) kill(addr string) {
	f.Refuse(addr)
	f.Cut(addr)
	synctest.Wait() // the clients have seen it
}

// dial connects to the whole fleet.
func (f *fleet) dial() *rpcx.Client {
	f.t.Helper()
	c, err := f.dialer.Dial("tcp", f.addrs...)
	require.NoError(f.t, err)
	return c
}

// where asks n times which replica answers, and fails the test at any error.
func where(t *testing.T, c *rpcx.Client, n int) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	for range n {
		var name string
		require.NoError(t, c.Call("Bank.Where", struct{}{}, &name))
		seen[name]++
	}
	return seen
}

// callError is the *CallError that every failed call without an answer has.
func callError(t *testing.T, err error) *rpcx.CallError {
	t.Helper()
	var ce *rpcx.CallError
	require.ErrorAs(t, err, &ce)
	require.Contains(t, err.Error(), strings.TrimPrefix(ce.Err.Error(), "rpcx: "), "the text has the cause's")
	return ce
}

// oneByOne serves one request of a connection at a time and ends the connection behind
// a request that it cannot serve, as consul and nomad do.
func oneByOne(s *rpc.Server, c io.ReadWriteCloser) {
	defer c.Close()
	for server := codec.NewGobServer(c); s.ServeRequest(server) == nil; {
	}
}
