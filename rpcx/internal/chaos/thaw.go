package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A Thaw says how one of three servers is stopped for a while, under calls with a deadline
// that are not idempotent.
type Thaw struct {
	Serve   bool // the servers serve with rpcx.Serve; else they are stock servers
	JSON    bool
	Clients int
	Rate    int           // calls a second, of all clients together
	Live    time.Duration // from the beginning of a call to its deadline
	Hold    time.Duration // for which the server is stopped
	// Dialer has the options of the clients, but for the codec.
	Dialer rpcx.Dialer
}

// A ThawReport is the result of a RunThaw.
type ThawReport struct {
	Calls int // of all servers
	// PiledUp is how many calls the stopped server was sent, which failed before it went on.
	PiledUp int
	// RunLate is how many methods it ran after their calls had failed, and Within how long
	// after it went on the last of these began.
	RunLate int
	Within  time.Duration
	// FailedElsewhere is how many calls of the other servers failed.
	FailedElsewhere int
}

func (r ThawReport) String() string {
	return fmt.Sprintf("%d calls; %d had piled up and failed; %d methods ran after their calls had failed, within %v; %d calls failed elsewhere",
		r.Calls, r.PiledUp, r.RunLate, r.Within.Round(time.Millisecond), r.FailedElsewhere)
}

// thawCall is a call that has ended.
type thawCall struct {
	ended time.Time
	err   error
}

// thaw is one RunThaw.
type thaw struct {
	Thaw
	servers []*Server
	clients []*rpcx.Client

	wg    sync.WaitGroup
	mu    sync.Mutex          // protects following
	calls map[uint64]thawCall // by id
}

const (
	// beforeFreeze is how long the calls go on before the server is stopped: two slots of
	// the clients' pings, so that each connection has carried a request. The time of one that
	// has not would begin when the server goes on.
	beforeFreeze = 2 * time.Second
	// afterThaw is how long they go on after that.
	afterThaw = 500 * time.Millisecond
)

// RunThaw starts the servers, and calls them while one of them is stopped and goes on. It
// fails tb if it cannot do its work.
func RunThaw(tb testing.TB, cfg Thaw) ThawReport {
	tb.Helper()
	t := &thaw{Thaw: cfg, calls: make(map[uint64]thawCall)}
	format := ""
	switch {
	case cfg.Serve && cfg.JSON:
		format = "json"
	case cfg.Serve:
		format = "gob"
	}
	for range replicas {
		t.servers = append(t.servers, startServer(tb, "127.0.0.1", format, 0))
	}
	for range cfg.Clients {
		t.dial(tb)
	}
	for _, c := range t.clients {
		t.awaitReady(tb, c)
	}
	frozen := t.servers[0]
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	load.Go(func() { t.load(ctx) })
	time.Sleep(beforeFreeze) // real processes take real time, here and below
	frozen.Freeze()
	frozeAt := time.Now()
	time.Sleep(cfg.Hold)
	thawed := time.Now()
	frozen.Thaw()
	time.Sleep(afterThaw)
	stop()
	load.Wait()
	t.wg.Wait()
	t.settle(tb, frozen)
	for _, c := range t.clients {
		if err := c.Close(); err != nil {
			tb.Errorf("chaos: closing: %v", err)
		}
	}
	return t.report(tb, frozen, frozeAt, thawed)
}

func (t *thaw) dial(tb testing.TB) {
	tb.Helper()
	d := t.Dialer
	if t.JSON {
		d.Codec = codec.NewJSONClient
	}
	var addrs []string
	for _, s := range t.servers {
		addrs = append(addrs, s.Addr)
	}
	c, err := d.Dial("tcp", addrs...)
	if err != nil {
		tb.Fatal(err)
	}
	t.clients = append(t.clients, c)
}

// awaitReady waits until a client is connected to all servers, and knows what those of
// rpcx.Serve understand.
func (t *thaw) awaitReady(tb testing.TB, c *rpcx.Client) {
	tb.Helper()
	ready := func() bool {
		for _, e := range c.Stats().Endpoints {
			if !e.Connected || t.Serve && e.MetaSupport != codec.MetaUnderstood {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("chaos: not ready: %+v", c.Stats().Endpoints)
		}
		c.Call(peek, NewSlip(1<<63), new(Slip)) //nolint:errcheck // what it shows of the servers counts
	}
}

// load makes calls at the rate, whatever becomes of those before. On a machine that is busy it
// makes up for the ticks that were lost.
func (t *thaw) load(ctx context.Context) {
	period := time.Second / time.Duration(t.Rate)
	tick := time.NewTicker(period)
	defer tick.Stop()
	began := time.Now()
	for made := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began) / period); made < due; {
			made++
			id := uint64(made) //nolint:gosec // it is positive
			t.wg.Go(func() { t.call(id) })
		}
	}
}

func (t *thaw) call(id uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Live)
	defer cancel()
	err := t.clients[id%uint64(len(t.clients))].CallContext(ctx, "Vault.Deposit", NewSlip(id), new(Slip))
	var refused rpcx.ServerError
	if errors.As(err, &refused) { // by the method, which has run
		err = nil
	}
	ended := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[id] = thawCall{ended, err}
}

// settle waits until the server runs no more methods.
func (t *thaw) settle(tb testing.TB, s *Server) {
	tb.Helper()
	size := func() (n int) {
		if err := s.Executions(func(uint64, time.Time) { n++ }); err != nil {
			tb.Error(err)
		}
		return n
	}
	for was := -1; was != size(); time.Sleep(300 * time.Millisecond) {
		was = size()
	}
}

func (t *thaw) report(tb testing.TB, frozen *Server, frozeAt, thawed time.Time) ThawReport {
	tb.Helper()
	r := ThawReport{Calls: len(t.calls)}
	for _, c := range t.calls {
		var failed *rpcx.CallError
		switch {
		case c.err == nil:
		case !errors.As(c.err, &failed):
			tb.Errorf("chaos: a call failed with %v", c.err)
		case failed.Endpoint != frozen.Addr:
			r.FailedElsewhere++
		case failed.Sent == rpcx.MaybeSent && c.ended.After(frozeAt) && c.ended.Before(thawed):
			r.PiledUp++
		}
	}
	err := frozen.Executions(func(id uint64, at time.Time) {
		if c := t.calls[id]; c.err != nil && at.After(c.ended) {
			r.RunLate++
			r.Within = max(r.Within, at.Sub(thawed))
		}
	})
	if err != nil {
		tb.Error(err)
	}
	return r
}
