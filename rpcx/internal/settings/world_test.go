package settings

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/rpc"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
)

const replicas = 3

// errBroken is what a server returns that is out of order.
var errBroken = errors.New("the replica is out of order")

// A world is a network of stock servers, in virtual time.
type world struct {
	*simnet.Network
	t      *testing.T
	began  time.Time
	work   workload
	addrs  []string
	shops  []*Shop
	dialer rpcx.Dialer
}

// inWorld runs f in a world whose random numbers begin with seed.
func inWorld(t *testing.T, work workload, seed uint64, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{Network: simnet.New(), t: t, began: time.Now(), work: work}
		defer time.Sleep(time.Hour) // until the last method has run out
		defer w.Close()
		w.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return w.DialContext(ctx, network, address)
		}
		w.dialer.Methods = map[string]rpcx.MethodOptions{"Shop.Look": {Idempotent: rpcx.Yes}}
		w.dialer.Classify = func(_ string, err error) rpcx.Class {
			if err.Error() == errBroken.Error() {
				return rpcx.EndpointFailure
			}
			return rpcx.AppError
		}
		for i := range replicas {
			w.listen(uint64(i), seed)
		}
		f(w)
	})
}

// listen starts a server behind its path.
func (w *world) listen(i, seed uint64) {
	addr := fmt.Sprintf("shop-%d:1", i)
	s := &Shop{rng: rand.New(rand.NewPCG(seed, i))} //nolint:gosec // a seed
	w.addrs, w.shops = append(w.addrs, addr), append(w.shops, s)
	p := w.work.make(rand.New(rand.NewPCG(seed, 100+i))) //nolint:gosec // a seed
	w.Delay(addr, p.floor)
	var mu sync.Mutex
	w.Replies(addr, func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return p.further(time.Since(w.began))
	})
	server := rpc.NewServer()
	require.NoError(w.t, server.Register(s))
	require.NoError(w.t, server.Register(new(Counter)))
	ln := w.Listen(addr)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(conn)
		}
	}()
}

func (w *world) dial() *rpcx.Client {
	w.t.Helper()
	c, err := w.dialer.Dial("tcp", w.addrs...)
	require.NoError(w.t, err)
	return c
}

// kill does to a server what SIGKILL does to its process.
func (w *world) kill(addr string) {
	w.Refuse(addr)
	w.Cut(addr)
}

// Shop is the service. A method takes some 2 ms.
type Shop struct {
	mu     sync.Mutex // protects following
	rng    *rand.Rand
	slower time.Duration // added to each call
	broken float64       // share of the calls that fail
}

// Look is idempotent.
func (s *Shop) Look(n int, reply *int) error { return s.serve(n, reply) }

// Buy is not.
func (s *Shop) Buy(n int, reply *int) error { return s.serve(n, reply) }

func (s *Shop) serve(n int, reply *int) error {
	s.mu.Lock()
	takes, fails := lognormal(s.rng, 2*ms, 0.5)+s.slower, s.rng.Float64() < s.broken
	s.mu.Unlock()
	if fails {
		return errBroken
	}
	time.Sleep(takes)
	*reply = n
	return nil
}

func (s *Shop) set(slower time.Duration, broken float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slower, s.broken = slower, broken
}

// A fault is what happens to the first server.
type fault struct {
	name  string
	start func(w *world, addr string)
	stop  func(w *world, addr string)
}

var faults = []fault{
	{"none", nil, nil},
	{"killed", (*world).kill, func(w *world, addr string) { w.Resume(addr) }},
	{"frozen", func(w *world, addr string) { w.Stall(addr) }, func(w *world, addr string) { w.Resume(addr) }},
	{"slow", func(w *world, _ string) { w.shops[0].set(10*(w.work.typical+2*ms), 0) }, mend},
	{"failing", func(w *world, _ string) { w.shops[0].set(0, 0.3) }, mend},
	{"flapping", flap, func(w *world, addr string) { w.Resume(addr) }},
}

func mend(w *world, _ string) { w.shops[0].set(0, 0) }

// flap kills the server each three seconds, for half of them.
func flap(w *world, addr string) {
	go func() {
		for since := time.Now(); time.Since(since) < faultFor-2*time.Second; time.Sleep(1500 * ms) {
			w.kill(addr)
			time.Sleep(1500 * ms)
			w.Resume(addr)
		}
	}()
}

// The times of a run.
const (
	warmup    = 5 * time.Second // not counted
	faultFrom = 10 * time.Second
	faultFor  = 10 * time.Second
	runFor    = 35 * time.Second
)

// strike has the fault happen at its time. The function runs in the bubble.
func (w *world) strike(f fault) {
	if f.start == nil {
		return
	}
	time.AfterFunc(faultFrom, func() { f.start(w, w.addrs[0]) })
	time.AfterFunc(faultFrom+faultFor, func() { f.stop(w, w.addrs[0]) })
}
