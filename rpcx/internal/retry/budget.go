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
	"time"
)

const (
	budgetBurst = 10               // the repetitions that a budget has at first
	earnedFor   = 10 * time.Second // for how long it keeps what calls add
	// repetition is one repetition in the units of a budget, in which shares are
	// counted: what is no multiple of a billionth is rounded up to one.
	repetition = 1_000_000_000
)

// A Budget is a stock of repetitions, ten at first. It grows to what the calls of ten seconds add,
// if that is more: a server that dies under many calls leaves more than ten to repeat, though
// over a longer time they are few. A Budget is safe for concurrent use.
type Budget struct {
	stock    atomic.Int64 // in billionths of a repetition
	share    int64        // what each call adds; negative for no limit
	deposits atomic.Int64
	period   atomic.Pointer[period]
}

// period is the time over which deposits are counted.
type period struct {
	began    time.Duration
	deposits int64 // that there had been
	most     int64 // what those of the period before have added, as if it had taken earnedFor
}

// NewBudget returns a full budget, to which each call adds share repetitions. A negative share
// means no limit.
func NewBudget(share float64) *Budget {
	b := &Budget{share: -1}
	if share >= 0 {
		b.share = int64(math.Ceil(share * repetition))
	}
	b.stock.Store(budgetBurst * repetition)
	b.period.Store(&period{})
	return b
}

// Deposit adds the share of one call. It is given the time since the budget was made.
func (b *Budget) Deposit(at time.Duration) {
	if b.share <= 0 {
		return
	}
	most := b.most(at, b.deposits.Add(1))
	for {
		old := b.stock.Load()
		if old >= most || b.stock.CompareAndSwap(old, min(old+b.share, most)) {
			return
		}
	}
}

// most is the largest stock that a call adds to.
func (b *Budget) most(at time.Duration, deposits int64) int64 {
	p := b.period.Load()
	added := b.share * max(deposits-p.deposits, 0) // enough for nine billion calls in a period
	if lasted := at - p.began; lasted >= earnedFor {
		next := &period{began: at, deposits: deposits, most: int64(float64(added) * float64(earnedFor) / float64(lasted))}
		if b.period.CompareAndSwap(p, next) {
			p, added = next, 0
		}
	}
	return max(budgetBurst*repetition, p.most, added)
}

// Refund takes a Withdraw back. What calls have added meanwhile stays.
func (b *Budget) Refund() {
	if b.share >= 0 {
		b.stock.Add(repetition)
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
