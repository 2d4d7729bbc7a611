package rpcx_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/rpc"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
)

// Till is a service that writes down what runs.
type Till struct{ ledger *ledger }

// A Sale takes a time, and its receipt has its number.
type Sale struct {
	ID    int
	Takes time.Duration // virtual
}

// Ring implements a method.
func (c *Till) Ring(s *Sale, receipt *string) error {
	c.ledger.add(s.ID)
	time.Sleep(s.Takes)
	if s.ID%7 == 3 {
		return fmt.Errorf("no sale %d", s.ID)
	}
	*receipt = fmt.Sprint("sale ", s.ID)
	return nil
}

// shop is servers of Serve in virtual time, each behind a middle.
type shop struct {
	t       *testing.T
	network *simnet.Network
	ledger  *ledger
	cfg     rpcx.ServeConfig
	json    bool
	relays  []*middle
	dialer  rpcx.Dialer
	extra   any // a service beside Till, of servers started from then on; nil for none

	mu    sync.Mutex // protects following
	stops map[string]func()
}

// stop kills the server at an address.
func (s *shop) stop(addr string) {
	s.mu.Lock()
	stop := s.stops[addr]
	delete(s.stops, addr)
	s.mu.Unlock()
	stop()
}

// stopBy says how to kill the server at an address.
func (s *shop) stopBy(addr string, stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops[addr] = stop
}

func inShop(t *testing.T, servers int, cfg rpcx.ServeConfig, json bool, f func(*testing.T, *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shop{t: t, network: simnet.New(), ledger: &ledger{runs: make(map[int]int)}, cfg: cfg, json: json, stops: make(map[string]func())}
		s.cfg.Logger = slog.New(slog.DiscardHandler)
		defer time.Sleep(2 * time.Hour) // until the slowest method has run out
		defer s.network.Close()
		s.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return s.network.DialContext(ctx, network, address)
		}
		if json {
			s.dialer.Codec = codec.NewJSONClient
		}
		for i := range servers {
			s.start(i)
			addr := s.addr(i)
			s.network.Delay(addr, time.Millisecond)
			s.relays = append(s.relays, newMiddle(s.network, addr, fmt.Sprint("server:", i)))
		}
		defer func() {
			for i := range s.relays {
				s.stop(fmt.Sprint("server:", i))
			}
			for _, r := range s.relays {
				r.open(&r.up)
				r.open(&r.down)
			}
		}()
		f(t, s)
	})
}

func (s *shop) addr(i int) string { return fmt.Sprint("relay:", i) }

// start starts a server.
func (s *shop) start(i int) {
	server := rpc.NewServer()
	require.NoError(s.t, server.Register(&Till{s.ledger}))
	if s.extra != nil {
		require.NoError(s.t, server.Register(s.extra))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cfg, ended, addr := s.cfg, make(chan struct{}), fmt.Sprint("server:", i)
	cfg.StopTimeout = time.Nanosecond
	newCodec := map[bool]func(io.ReadWriteCloser) rpc.ServerCodec{false: codec.NewGobServer, true: codec.NewJSONServer}[s.json]
	lis := s.network.Listen(addr)
	go func() {
		defer close(ended)
		cfg.Serve(ctx, lis, server, newCodec) //nolint:errcheck // it is killed
	}()
	s.stopBy(addr, func() {
		s.network.Cut(addr)
		cancel()
		<-ended
	})
}

// restart kills a server and starts another one at its address.
func (s *shop) restart(i int) {
	s.stop(fmt.Sprint("server:", i))
	s.start(i)
}

// dial connects to all servers, and waits until their support for metadata is known.
func (s *shop) dial() *rpcx.Client {
	s.t.Helper()
	var addrs []string
	for i := range s.relays {
		addrs = append(addrs, s.addr(i))
	}
	c, err := s.dialer.Dial("tcp", addrs...)
	require.NoError(s.t, err)
	time.Sleep(2 * time.Second) // the scouts have come back
	for i := range 2 * len(addrs) {
		require.NoError(s.t, c.Call("Till.Ring", &Sale{ID: -1 - i}, new(string)))
	}
	return c
}

// told checks what a caller was told of a sale beside what has run.
func (s *shop) told(id int, receipt string, err error) {
	ran := s.ledger.count(id)
	require.LessOrEqual(s.t, ran, 1, "sale %d", id)
	var ce *rpcx.CallError
	switch {
	case err == nil:
		require.Equal(s.t, fmt.Sprint("sale ", id), receipt)
		require.Equal(s.t, 1, ran, "sale %d", id)
	case err.Error() == fmt.Sprint("no sale ", id):
		require.Equal(s.t, 1, ran, "sale %d", id)
	case !errors.As(err, &ce): // from Go: the bare error of the connection
	case ce.Sent == rpcx.NotSent:
		require.Zero(s.t, ran, "sale %d: %v", id, err)
	case ce.Sent == rpcx.Executed:
		require.Equal(s.t, 1, ran, "sale %d", id)
	}
}

// ring makes a call, over the client in one of three ways.
func ring(ctx context.Context, c *rpcx.Client, s *Sale, how int) (receipt string, err error) {
	switch how % 3 {
	case 0:
		err = c.CallContext(ctx, "Till.Ring", s, &receipt)
	case 1:
		return rpcx.Invoke[string](ctx, c, "Till.Ring", s)
	default:
		call := c.Go("Till.Ring", s, &receipt, nil)
		err = (<-call.Done).Error
	}
	return receipt, err
}

// steps are what may happen to a server and its middle.
var recallSteps = []struct {
	name string
	odds int
	do   func(s *shop, i int)
}{
	{"break the clients' ends", 4, func(s *shop, i int) { s.relays[i].breakClients() }},
	{"cut", 3, func(s *shop, i int) { s.network.Cut(s.addr(i)) }},
	{"cut behind the middle", 2, func(s *shop, i int) { s.network.Cut(fmt.Sprint("server:", i)) }},
	{"hold requests", 3, func(s *shop, i int) { s.relays[i].shut(&s.relays[i].up) }},
	{"let requests through", 4, func(s *shop, i int) { s.relays[i].open(&s.relays[i].up) }},
	{"hold replies", 3, func(s *shop, i int) { s.relays[i].shut(&s.relays[i].down) }},
	{"let replies through", 4, func(s *shop, i int) { s.relays[i].open(&s.relays[i].down) }},
	{"stall", 1, func(s *shop, i int) { s.network.Stall(fmt.Sprint("server:", i)) }},
	{"go on", 3, func(s *shop, i int) { s.network.Resume(fmt.Sprint("server:", i)) }},
}

// Whatever happens to the connections, no sale is run twice, and each report is true. As long as
// no server dies and none forgets, each report is certain, too.
func TestWhatBecameOfACall(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		for seed := range uint64(recallSeeds()) {
			t.Run(fmt.Sprintf("json %v/%d", json, seed), func(t *testing.T) {
				t.Parallel()
				inShop(t, 2, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) { stir(t, s, seed, false) })
			})
		}
	}
}

// If servers die and are replaced, or forget, the callers learn that.
func TestWhatBecameOfACallOfADeadServer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(recallSeeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			cfg := rpcx.ServeConfig{KeepAnswers: 2 << 10, KeepAnswersFor: time.Second}
			inShop(t, 2, cfg, false, func(t *testing.T, s *shop) { stir(t, s, seed, true) })
		})
	}
}

func recallSeeds() int {
	if *recallRuns > 0 {
		return *recallRuns
	}
	if raceDetector && !*long { // the others are for a run without it, which takes a third of the time
		return 8
	}
	return 40
}

var recallRuns = flag.Int("recall.runs", 0, "how many schedules the tests of recalls try; 0 for a few")

// stir makes sales from several callers while things happen by the dice.
func stir(t *testing.T, s *shop, seed uint64, deadly bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	s.dialer.Conns = 1 + rng.IntN(2)
	s.dialer.DialTimeout = time.Minute // how long an answer is waited for
	var wg sync.WaitGroup
	var mu sync.Mutex // protects following
	said := make(map[rpcx.Recall]int)
	over := false
	s.dialer.Trace = &rpcx.ClientTrace{CallDone: func(_ context.Context, info rpcx.CallInfo) {
		var ce *rpcx.CallError
		if errors.As(info.Err, &ce) && ce.Sent == rpcx.MaybeSent {
			mu.Lock()
			defer mu.Unlock()
			said[ce.Recall]++
		}
	}}
	c := s.dial()
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)+2))
			for n := range 1 << 20 {
				mu.Lock()
				done := over
				mu.Unlock()
				if done {
					return
				}
				id := w<<20 | n
				receipt, err := ring(t.Context(), c, &Sale{ID: id, Takes: time.Duration(rng.IntN(3)*rng.IntN(400)) * time.Millisecond}, rng.IntN(3))
				s.told(id, receipt, err)
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			}
		})
	}
	for range 40 {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		i := rng.IntN(len(s.relays))
		if deadly && rng.IntN(10) == 0 {
			s.restart(i)
			continue
		}
		n := rng.IntN(27)
		for _, step := range recallSteps {
			if n -= step.odds; n < 0 {
				step.do(s, i)
				break
			}
		}
	}
	for i, r := range s.relays {
		r.open(&r.up)
		r.open(&r.down)
		s.network.Resume(fmt.Sprint("server:", i))
	}
	mu.Lock()
	over = true
	mu.Unlock()
	wg.Wait()
	require.NoError(t, c.Close())
	if !deadly {
		require.Empty(t, said)
	}
	stats := c.Stats()
	require.Equal(t, len(said) == 0, stats.DoubtsUnresolved == 0)
	t.Logf("resolved %d, unresolved %d, said %v", stats.DoubtsResolved, stats.DoubtsUnresolved, said)
}
