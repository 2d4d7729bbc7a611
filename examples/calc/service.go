package main

import (
	"errors"
	"math"
	"time"
)

// Args are the two operands of an arithmetic method.
type Args struct{ A, B float64 }

// Answer is the result of an arithmetic method, and the replica that computed it.
type Answer struct {
	Value   float64
	Replica string
}

// DepositArgs is something that must not happen twice. ID is unique to the
// call: the servers' journals count executions by it.
type DepositArgs struct {
	ID     string
	Amount int64
}

// Receipt repeats what was deposited, and names the replica.
type Receipt struct {
	ID      string
	Amount  int64
	Replica string
}

// Calc is the service, an ordinary net/rpc receiver.
type Calc struct {
	replica string
	work    time.Duration // how long each method takes
	journal *journal      // nil keeps none
}

// Add answers A + B.
func (c *Calc) Add(a Args, r *Answer) error { return c.answer(r, a.A+a.B) }

// Sub answers A − B.
func (c *Calc) Sub(a Args, r *Answer) error { return c.answer(r, a.A-a.B) }

// Mul answers A × B.
func (c *Calc) Mul(a Args, r *Answer) error { return c.answer(r, a.A*a.B) }

// Div answers A ÷ B.
func (c *Calc) Div(a Args, r *Answer) error {
	if a.B == 0 {
		return errors.New("division by zero")
	}
	return c.answer(r, a.A/a.B)
}

// answer refuses infinities, which JSON cannot carry.
func (c *Calc) answer(r *Answer, v float64) error {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return errors.New("result out of range")
	}
	time.Sleep(c.work)
	*r = Answer{Value: v, Replica: c.replica}
	return nil
}

// Deposit is not idempotent. It is on record before the work starts, so that
// a replica that is killed between the two has still admitted to it.
func (c *Calc) Deposit(a DepositArgs, r *Receipt) error {
	if err := c.journal.append(a.ID); err != nil {
		return err
	}
	time.Sleep(c.work)
	*r = Receipt{ID: a.ID, Amount: a.Amount, Replica: c.replica}
	return nil
}
