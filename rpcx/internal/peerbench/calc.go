package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A Message is the argument and the reply of every method, in all formats the same:
// a number and a text. Replica is the number of the server that has answered, from 1.
type Message struct {
	N       uint64
	Text    string
	Replica uint32
}

// A method is one of the service, as net/rpc names it.
type method string

const (
	echo    method = "Calc.Echo"    // returns what it is given
	square  method = "Calc.Square"  // returns N squared, after work
	deposit method = "Calc.Deposit" // returns N, after work, and is not to be executed twice
)

func (m method) idempotent() bool { return m != deposit }

// work is what Square and Deposit take, so that some are under way when a replica
// dies.
const work = 20 * time.Millisecond

// right reports whether out is the reply to in.
func (m method) right(in, out Message) bool {
	if m == square {
		return out.N == in.N*in.N
	}
	return out.N == in.N && out.Text == in.Text
}

// errBroken is the answer of a replica that is told to fail. Where a protocol has a
// code that tells a caller to go elsewhere, the answer has it.
var errBroken = errors.New("calc: this replica is broken")

// calc is the service behind all protocols of a server.
type calc struct {
	replica uint32
	journal *os.File
	failing atomic.Bool
	slow    atomic.Int64 // nanoseconds more for each call
}

// do runs a method, and writes into the journal that it ran.
func (c *calc) do(ctx context.Context, m method, in Message) (Message, error) {
	if c.failing.Load() {
		return Message{}, errBroken
	}
	if d := time.Duration(c.slow.Load()); d > 0 {
		time.Sleep(d) // a real process takes real time
	}
	in.Replica = c.replica
	if m == echo {
		return in, nil
	}
	if _, err := c.journal.Write(binary.LittleEndian.AppendUint64(nil, in.N)); err != nil {
		return Message{}, err
	}
	select {
	case <-time.After(work):
	case <-ctx.Done(): // only some protocols tell the server
		return Message{}, ctx.Err()
	}
	if m == square {
		in.N *= in.N
	}
	return in, nil
}

// Calc is the service as net/rpc has it.
type Calc struct{ *calc }

// Echo returns what it is given.
func (c Calc) Echo(in Message, out *Message) error { return c.rpc(echo, in, out) }

// Square returns N squared.
func (c Calc) Square(in Message, out *Message) error { return c.rpc(square, in, out) }

// Deposit is not idempotent.
func (c Calc) Deposit(in Message, out *Message) error { return c.rpc(deposit, in, out) }

func (c Calc) rpc(m method, in Message, out *Message) (err error) {
	*out, err = c.do(context.Background(), m, in)
	return err
}
