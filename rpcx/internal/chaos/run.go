package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A Config says what to run.
type Config struct {
	Seed    uint64 // of the proxies' dice
	Steps   []Step
	Length  time.Duration // of the load
	Workers int           // of each client
	Pause   time.Duration // of a worker between calls
	Work    time.Duration // that a call takes the server; 0 is a millisecond
	// Deposits is how many of each ten calls are not idempotent.
	Deposits int
	// Bound is how long a call may take before it counts as hung.
	Bound time.Duration
	// Patience is how long net/rpc's clients wait for an answer; 0 is for ever.
	Patience time.Duration
	// Serve has the servers serve with rpcx.Serve; else they are stock servers.
	Serve bool
	// Live is from the beginning of a call of the rpcx clients to its deadline; 0 is none.
	Live time.Duration
	// Alone leaves net/rpc's clients out.
	Alone bool
	// Cut, if not nil, takes the proxies' place: each server has a host address of
	// its own, and every fault is to cut that off and, at the end, to mend it.
	Cut func(host string, off bool) error
	// Dialer has the options of the rpcx clients, but for the codec, the trace
	// and what is idempotent.
	Dialer rpcx.Dialer
}

// grace is what calls get at the end, with nothing wrong any more.
const grace = 8 * time.Second

// Run runs the load and the schedule against three servers, and returns what came
// of it, one Tally for each client. It fails tb only if it cannot do its work.
func Run(tb testing.TB, cfg Config) Report {
	tb.Helper()
	before := runtime.NumGoroutine()
	r := &rig{tb: tb, cfg: cfg, kills: make(map[string][]kill)}
	defer r.close()
	r.open()
	r.start()
	r.meet()
	r.play()
	return r.finish(before)
}

// finish ends the loads and the servers, and reads the journals.
func (r *rig) finish(before int) Report {
	for _, l := range r.loads {
		r.wg.Go(func() {
			if err := l.stop(grace); err != nil {
				r.tb.Errorf("chaos: closing %s: %v", l.name, err)
			}
		})
	}
	r.wg.Wait()
	r.close()
	return r.report(before)
}

// rig is one Run.
type rig struct {
	tb      testing.TB
	cfg     Config
	servers []*Server
	proxies []*Proxy
	loads   []*load
	watches []*watch
	wg      sync.WaitGroup
	once    sync.Once
	victims [replicas]sync.Mutex // each held while it has a fault

	mu    sync.Mutex        // protects following
	kills map[string][]kill // by the replica's address
}

// kill is when a server was killed, and when it was dead and its proxy deaf.
type kill struct{ began, done time.Time }

func (r *rig) open() {
	r.tb.Helper()
	for i := range replicas {
		host := "127.0.0.1"
		if r.cfg.Cut != nil {
			host = fmt.Sprintf("127.0.0.%d", 2+i)
		}
		s := startServer(r.tb, host, map[bool]string{true: either}[r.cfg.Serve], r.cfg.Work)
		r.servers = append(r.servers, s)
		if r.cfg.Cut != nil {
			continue
		}
		p, err := NewProxy(s.Addr, r.cfg.Seed+uint64(i))
		if err != nil {
			r.tb.Fatal(err)
		}
		r.proxies = append(r.proxies, p)
	}
}

// close ends proxies and servers, so that the journals stand.
func (r *rig) close() {
	r.once.Do(func() {
		for _, p := range r.proxies {
			p.Close()
		}
		for _, s := range r.servers {
			s.Kill()
		}
	})
}

func (r *rig) addrs() []string {
	var out []string
	for i := range r.servers {
		out = append(out, r.addr(i))
	}
	return out
}

// addr is where a replica is called.
func (r *rig) addr(i int) string {
	if len(r.proxies) == 0 {
		return r.servers[i].Addr
	}
	return r.proxies[i].Addr
}

func (r *rig) start() {
	r.tb.Helper()
	r.add("rpcx gob", r.dial(codec.NewGobClient))
	r.add("rpcx json", r.dial(codec.NewJSONClient))
	if r.cfg.Alone {
		return
	}
	r.add("net/rpc gob", &ByHand{Addrs: r.addrs(), Patience: r.cfg.Patience, Idempotent: idempotent})
	r.add("net/rpc json", &ByHand{Addrs: r.addrs(), Patience: r.cfg.Patience, Idempotent: idempotent, JSON: true})
}

func (r *rig) add(name string, c caller) {
	r.loads = append(r.loads, startLoad(name, len(r.loads), c, r.cfg))
}

// knowing is a client whose errors say what is known of the call.
type knowing struct {
	*rpcx.Client
	live time.Duration
}

func (k knowing) Call(serviceMethod string, args, reply any) error {
	ctx := context.Background()
	if k.live > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.live)
		defer cancel()
	}
	return k.CallContext(ctx, serviceMethod, args, reply)
}

func (r *rig) dial(newCodec func(io.ReadWriteCloser) rpc.ClientCodec) knowing {
	r.tb.Helper()
	w := newWatch()
	r.watches = append(r.watches, w)
	d := r.cfg.Dialer
	d.Codec, d.Trace = newCodec, &rpcx.ClientTrace{AttemptDone: w.attempt}
	d.Methods = map[string]rpcx.MethodOptions{peek: {Idempotent: rpcx.Yes}}
	c, err := d.Dial("tcp", r.addrs()...)
	if err != nil {
		r.tb.Fatal(err)
	}
	return knowing{c, r.cfg.Live}
}

// meet waits until each of our clients has an answer of each server that keeps answers: the
// calls before are not recalled.
func (r *rig) meet() {
	r.tb.Helper()
	if !r.cfg.Serve {
		return
	}
	for begin := time.Now(); !r.haveMet(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			r.tb.Fatal("chaos: a server does not answer")
		}
	}
}

func (r *rig) haveMet() bool {
	for _, l := range r.loads {
		k, ours := l.client.(knowing)
		if ours && slices.ContainsFunc(k.Stats().Endpoints, func(e rpcx.EndpointStats) bool { return e.MetaSupport != codec.MetaUnderstood }) {
			return false
		}
	}
	return true
}

// play runs the schedule.
func (r *rig) play() {
	began := time.Now()
	for _, s := range r.cfg.Steps {
		time.Sleep(time.Until(began.Add(s.At))) // real processes take real time
		r.wg.Go(func() { r.step(s) })
	}
	r.wg.Wait()
	time.Sleep(time.Until(began.Add(r.cfg.Length)))
}

// step is one fault from its beginning to its end. On a slow machine one may begin
// late: the next of the same victim waits for it.
func (r *rig) step(s Step) {
	r.victims[s.Victim].Lock()
	defer r.victims[s.Victim].Unlock()
	addr := r.addr(s.Victim)
	for _, w := range r.watches {
		w.begin(addr, s)
	}
	err := r.inflict(s)
	time.Sleep(s.Hold)
	err = errors.Join(err, r.heal(s))
	for _, w := range r.watches {
		w.heal(addr)
	}
	if err != nil {
		r.tb.Errorf("%v: %v", s, err)
	}
}

func (r *rig) inflict(s Step) error {
	server := r.servers[s.Victim]
	if r.cfg.Cut != nil {
		return r.cfg.Cut(server.host(), true)
	}
	switch s.Fault {
	case Freeze:
		server.Freeze()
	case Kill:
		return r.kill(s.Victim)
	}
	return r.proxies[s.Victim].Set(s.Fault)
}

func (r *rig) kill(victim int) error {
	k := kill{began: time.Now()}
	r.servers[victim].Kill()
	err := r.proxies[victim].Set(Kill)
	k.done = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kills[r.addr(victim)] = append(r.kills[r.addr(victim)], k)
	return err
}

func (r *rig) heal(s Step) error {
	server := r.servers[s.Victim]
	if r.cfg.Cut != nil {
		return r.cfg.Cut(server.host(), false)
	}
	switch s.Fault {
	case Freeze:
		server.Thaw()
	case Kill:
		server.Start()
	}
	return r.proxies[s.Victim].Set(Healthy)
}
