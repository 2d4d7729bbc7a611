package rpcx

import (
	"math"
	"sync/atomic"
)

const (
	budgetBurst = 10
	// repetition is one repetition in the units of a budget, in which shares are
	// counted: what is no multiple of a billionth is rounded up to one.
	repetition = 1_000_000_000
)

// budget is the stock of repetitions, in billionths of one.
type budget struct {
	stock atomic.Int64
	share int64 // what each call adds; negative for no limit
}

func newBudget(share float64) *budget {
	b := &budget{share: -1}
	if share >= 0 {
		b.share = int64(math.Ceil(share * repetition))
	}
	b.stock.Store(budgetBurst * repetition)
	return b
}

func (b *budget) deposit() { b.add(b.share) }

// refund takes a withdraw back.
func (b *budget) refund() {
	if b.share >= 0 {
		b.add(repetition)
	}
}

func (b *budget) add(n int64) {
	for n > 0 {
		old := b.stock.Load()
		if old >= budgetBurst*repetition || b.stock.CompareAndSwap(old, min(old+n, budgetBurst*repetition)) {
			return
		}
	}
}

// level is how many repetitions may be made now; -1 if there is no limit.
func (b *budget) level() float64 {
	if b.share < 0 {
		return -1
	}
	return float64(b.stock.Load()) / repetition
}

// isSpent reports whether withdraw would fail now.
func (b *budget) isSpent() bool { return b.share >= 0 && b.stock.Load() < repetition }

func (b *budget) withdraw() bool {
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
