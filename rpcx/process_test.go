package rpcx_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// childEnv makes the test binary a server that keeps its journal in the file
// that the variable names, and childAddr says where it listens.
const (
	childEnv  = "RPCX_TEST_JOURNAL"
	childAddr = "RPCX_TEST_ADDR"
)

// Vault is the service of the child processes.
type Vault struct{ journal *os.File }

// Deposit is not idempotent. It is on record before it takes its time.
func (v *Vault) Deposit(id string, reply *string) error {
	if _, err := v.journal.WriteString(id + "\n"); err != nil {
		return err
	}
	time.Sleep(2 * time.Millisecond) // work, in a real process
	*reply = id
	return nil
}

// Peek is idempotent.
func (v *Vault) Peek(id string, reply *string) error {
	time.Sleep(2 * time.Millisecond) // work, in a real process
	*reply = id
	return nil
}

// runChild is a stock net/rpc server until its parent is gone.
func runChild(journal string) {
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if err := rpc.Register(&Vault{f}); err != nil {
		panic(err)
	}
	lis, err := net.Listen("tcp", os.Getenv(childAddr))
	if err != nil {
		panic(err)
	}
	fmt.Println(lis.Addr())
	go rpc.Accept(lis)
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that counts
}

// A process is a server in a process of its own, at one address for life.
type process struct {
	t       *testing.T
	addr    string
	journal string
	cmd     *exec.Cmd
}

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, addr: "127.0.0.1:0", journal: filepath.Join(t.TempDir(), "journal")}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	exe, err := os.Executable()
	require.NoError(p.t, err)
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), childEnv+"="+p.journal, childAddr+"="+p.addr)
	p.cmd.Stderr = os.Stderr
	_, err = p.cmd.StdinPipe() // its end, when this process ends, ends the child
	require.NoError(p.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(p.t, err)
	p.addr = strings.TrimSpace(line)
}

// kill is SIGKILL.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may be gone
	p.cmd.Wait()         //nolint:errcheck // its status is ours
}

// executions counts the journal's lines by id.
func (p *process) executions() map[string]int {
	b, err := os.ReadFile(p.journal)
	require.NoError(p.t, err)
	runs := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		runs[strings.TrimSpace(line)]++
	}
	return runs
}

// A tally is what came of the calls of one client.
type tally struct {
	peeks, peeksFailed       int
	deposits, depositsFailed int
	longest                  time.Duration
	duplicates               int
	lies                     int // done but never run, or not sent but run
	hung                     int // had to be cut off at the end
}

func (t tally) String() string {
	return fmt.Sprintf("idempotent %d, failed %d; deposits %d, failed %d; duplicates %d, false reports %d; hung %d; longest call %v",
		t.peeks, t.peeksFailed, t.deposits, t.depositsFailed, t.duplicates, t.lies, t.hung, t.longest.Round(time.Millisecond))
}

// drive calls through client until the faults are over, and counts.
func drive(t *testing.T, client caller, servers []*process, faults func()) tally {
	t.Helper()
	const workers = 8
	type fate struct {
		id  string
		err error
	}
	var (
		sum      tally
		stop     atomic.Bool
		inFlight atomic.Int64
		wg       sync.WaitGroup
		mu       sync.Mutex // protects sum and fates
		fates    []fate
	)
	for w := range workers {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				id, method := strconv.Itoa(w)+"/"+strconv.Itoa(n), "Vault.Peek"
				if n%2 == 1 {
					method = "Vault.Deposit"
				}
				var reply string
				begin := time.Now()
				inFlight.Add(1)
				err := client.Call(method, id, &reply)
				inFlight.Add(-1)
				if err == nil && reply != id {
					err = fmt.Errorf("reply %q to %q", reply, id)
				}
				mu.Lock()
				sum.longest = max(sum.longest, time.Since(begin))
				failed := 0
				if err != nil {
					failed = 1
				}
				if n%2 == 0 {
					sum.peeks, sum.peeksFailed = sum.peeks+1, sum.peeksFailed+failed
				} else {
					sum.deposits, sum.depositsFailed = sum.deposits+1, sum.depositsFailed+failed
					fates = append(fates, fate{id, err})
				}
				mu.Unlock()
			}
		})
	}
	faults()
	stop.Store(true)
	for deadline := time.Now().Add(5 * time.Second); inFlight.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // real processes take real time
	}
	sum.hung = int(inFlight.Load())
	require.NoError(t, client.Close())
	wg.Wait()

	runs := make(map[string]int)
	for _, s := range servers {
		for id, n := range s.executions() {
			runs[id] += n
		}
	}
	for _, f := range fates {
		sum.duplicates += max(0, runs[f.id]-1)
		var ce *rpcx.CallError
		notSent := errors.As(f.err, &ce) && ce.Sent == rpcx.NotSent
		if f.err == nil && runs[f.id] == 0 || notSent && runs[f.id] > 0 {
			sum.lies++
		}
	}
	return sum
}

// byHand is what people write over net/rpc: round robin, and a new connection
// after an error.
type byHand struct {
	addrs []string
	turn  atomic.Uint64

	mu      sync.Mutex // protects following
	clients map[string]*rpc.Client
	closed  bool
}

func (b *byHand) Call(method string, args, reply any) error {
	addr := b.addrs[b.turn.Add(1)%uint64(len(b.addrs))]
	c, err := b.client(addr)
	if err != nil {
		return err
	}
	err = c.Call(method, args, reply)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.clients[addr] == c {
			delete(b.clients, addr)
		}
		c.Close()
	}
	return err
}

func (b *byHand) client(addr string) (*rpc.Client, error) {
	b.mu.Lock()
	c, closed := b.clients[addr], b.closed
	b.mu.Unlock()
	switch {
	case closed:
		return nil, rpc.ErrShutdown
	case c != nil:
		return c, nil
	}
	c, err := rpc.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.Close()
		return nil, rpc.ErrShutdown
	}
	if old := b.clients[addr]; old != nil {
		old.Close() // two were as fast; its calls fail, as they do in such code
	}
	b.clients[addr] = c
	return c, nil
}

func (b *byHand) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, c := range b.clients {
		c.Close()
	}
	clear(b.clients)
	return nil
}

// underFault runs the same load and the same fault against three real servers,
// through net/rpc by hand and through rpcx, and returns both tallies.
func underFault(t *testing.T, fault func(*process)) (plain, resilient tally) {
	t.Helper()
	run := func(dial func(addrs []string) caller) tally {
		servers := []*process{startProcess(t), startProcess(t), startProcess(t)}
		var addrs []string
		for _, s := range servers {
			addrs = append(addrs, s.addr)
		}
		return drive(t, dial(addrs), servers, func() {
			time.Sleep(500 * time.Millisecond) // real load, before
			fault(servers[0])
			time.Sleep(4 * time.Second) // and after
		})
	}
	plain = run(func(addrs []string) caller { return &byHand{addrs: addrs, clients: make(map[string]*rpc.Client)} })
	resilient = run(func(addrs []string) caller {
		d := rpcx.Dialer{Idempotent: func(m string) bool { return m == "Vault.Peek" }}
		c, err := d.Dial("tcp", addrs...)
		require.NoError(t, err)
		return c
	})
	t.Logf("net/rpc: %v", plain)
	t.Logf("rpcx:    %v", resilient)
	return plain, resilient
}

// kept is what rpcx promises while one replica of three lives.
func kept(t *testing.T, r tally) {
	t.Helper()
	require.Positive(t, r.peeks)
	require.Positive(t, r.deposits)
	require.Zero(t, r.peeksFailed, "idempotent calls failed")
	require.Zero(t, r.duplicates)
	require.Zero(t, r.lies)
	require.Zero(t, r.hung)
}

func TestKilledProcess(t *testing.T) {
	leak.Check(t)
	plain, resilient := underFault(t, (*process).kill)
	require.Positive(t, plain.peeksFailed, "the fault was one")
	kept(t, resilient)
}
