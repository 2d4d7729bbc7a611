// Package retry has what bounds the repetitions of calls: the budget for all of them, and the
// policies that say how long each waits.
//
// A budget is never overdrawn, however many callers share it. A policy is used by one call at
// a time. Nothing here starts a goroutine or reads the clock. The package decides no
// repetition: it knows no call, no error and no Client. Besides the standard library it
// imports cenkalti/backoff.
package retry

import (
	"math"
	"sync/atomic"
)

const (
	budgetBurst = 10 // the most repetitions that a budget has
	// repetition is one repetition in the units of a budget, in which shares are
	// counted: what is no multiple of a billionth is rounded up to one.
	repetition = 1_000_000_000
)

// A Budget is a stock of repetitions, ten at first and at most. It is safe for concurrent use.
type Budget struct {
	stock atomic.Int64 // in billionths of a repetition
	share int64        // what each call adds; negative for no limit
}

// NewBudget returns a full budget, to which each call adds share repetitions. A negative share
// means no limit.
func NewBudget(share float64) *Budget {
	b := &Budget{share: -1}
	if share >= 0 {
		b.share = int64(math.Ceil(share * repetition))
	}
	b.stock.Store(budgetBurst * repetition)
	return b
}

// Deposit adds the share of one call.
func (b *Budget) Deposit() { b.add(b.share) }

// Refund takes a Withdraw back.
func (b *Budget) Refund() {
	if b.share >= 0 {
		b.add(repetition)
	}
}

func (b *Budget) add(n int64) {
	for n > 0 {
		old := b.stock.Load()
		if old >= budgetBurst*repetition || b.stock.CompareAndSwap(old, min(old+n, budgetBurst*repetition)) {
			return
		}
	}
}

// Level is how many repetitions may be made now; -1 if there is no limit.
func (b *Budget) Level() float64 {
	if b.share < 0 {
		return -1
	}
	return float64(b.stock.Load()) / repetition
}

// IsSpent reports whether Withdraw would fail now.
func (b *Budget) IsSpent() bool { return b.share >= 0 && b.stock.Load() < repetition }

// Withdraw takes a repetition, and reports whether there was one.
func (b *Budget) Withdraw() bool {
	if b.share < 0 {
		return true
	}
	for {
		old := b.stock.Load()
		if old < repetition {
			return false
		}
		if b.stock.CompareAndSwap(old, old-repetition) {
			return true
		}
	}
}
