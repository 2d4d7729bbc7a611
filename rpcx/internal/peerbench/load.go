package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A record is the result of one call. Times are since the load began.
type record struct {
	method  method
	n       uint64 // its number, which no other call has
	began   time.Duration
	took    time.Duration
	err     error
	replica uint32 // that answered
}

func (r record) ended() time.Duration { return r.began + r.took }

// A load makes calls at a fixed rate, however long they take, every fourth a
// deposit.
type load struct {
	client   client
	index    uint64 // tells its calls from other loads'
	interval time.Duration
	origin   time.Time
	wg       sync.WaitGroup // the clock, and each call
	over     chan struct{}
	flying   atomic.Int64

	mu      sync.Mutex // protects following
	records []record   // of calls that have ended
}

func startLoad(ctx context.Context, c client, index int, perSecond float64, origin time.Time) *load {
	l := &load{
		client: c, index: uint64(index+1) << 40, interval: time.Duration(float64(time.Second) / perSecond),
		origin: origin, over: make(chan struct{}),
	}
	l.wg.Go(func() { l.tick(ctx) })
	return l
}

// tick makes the calls, and those that it is late for at once.
func (l *load) tick(ctx context.Context) {
	// Loads begin one after the other, so that not all call at the same moment.
	first := time.Now().Add(time.Duration(l.index>>40) * 37 * time.Millisecond % l.interval)
	for i := uint64(0); ; i++ {
		select {
		case <-time.After(time.Until(first.Add(time.Duration(i) * l.interval))):
		case <-l.over:
			return
		}
		m := square
		if i%4 == 3 {
			m = deposit
		}
		l.flying.Add(1)
		l.wg.Go(func() { l.call(ctx, m, l.index|i) })
	}
}

func (l *load) call(ctx context.Context, m method, n uint64) {
	defer l.flying.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	in := Message{N: n}
	began := time.Now()
	out, err := l.client.call(ctx, m, in)
	took := time.Since(began)
	if err == nil && !m.right(in, out) {
		err = errWrong
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, record{m, n, began.Sub(l.origin), took, err, out.Replica})
}

// halt makes no more calls.
func (l *load) halt() { close(l.over) }

// finish waits for the calls under way, and ends those that take longer than grace
// with the client.
func (l *load) finish(ctx context.Context, grace time.Duration) ([]record, error) {
	for deadline := time.Now().Add(grace); l.flying.Load() > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond) // real processes take real time
	}
	err := l.client.Close()
	l.wg.Wait()
	for _, r := range l.records {
		if errors.Is(r.err, errWrong) {
			return nil, errWrong
		}
	}
	return l.records, err
}

// rest waits, unless the context ends.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
