package chaos

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx"
)

// A caller is what all clients have in common.
type caller interface {
	Call(serviceMethod string, args, reply any) error
	io.Closer
}

// peek is the service's method that is idempotent.
const peek = "Vault.Peek"

func idempotent(method string) bool { return method == peek }

// A load calls through one client from several workers.
type load struct {
	name     string
	index    int // in the ids of its calls
	deposits int // of each ten calls, those that are not idempotent
	client   caller
	pause    time.Duration // of a worker between calls
	began    time.Time
	workers  []worker
	wg       sync.WaitGroup
	stopped  atomic.Bool
	cut      int // calls that had to be cut off at the end

	mu       sync.Mutex // protects following
	classes  []Class    // the classes there were; workers keep indices
	failures []Failure  // of idempotent calls, the first of each class with a text
	doubts   []doubt    // of those that are not
}

// A doubt is a call that may have run.
type doubt struct {
	endpoint   string
	began, end time.Time
	text       string
}

// A Failure is an idempotent call's.
type Failure struct {
	At, Took time.Duration // since the load began
	ID       uint64
	Class    Class
	Attempts int
	Text     string
}

// worker is the record of one worker's calls; n is the place of each.
type worker struct {
	calling atomic.Bool
	fate    []uint8  // index of the class
	micros  []uint32 // how long it took
}

// maxFailures bounds how many failures are kept.
const maxFailures = 1 << 20

// id makes the id of a worker's nth call; the parts are where split finds them.
func id(load, worker, n int) uint64 { return uint64(load)<<56 | uint64(worker)<<40 | uint64(n) + 1 }

func split(id uint64) (load, worker, n int) {
	return int(id >> 56), int(id >> 40 & 0xffff), int(id&(1<<40-1)) - 1
}

// method is the method that a worker's nth call is of.
func (l *load) method(n int) string {
	if n%10 < l.deposits {
		return "Vault.Deposit"
	}
	return peek
}

func startLoad(name string, index int, client caller, cfg Config) *load {
	l := &load{
		name: name, index: index, deposits: cfg.Deposits, client: client, pause: cfg.Pause, began: time.Now(),
		workers: make([]worker, cfg.Workers), classes: []Class{{Kind: kindDone}},
	}
	for w := range l.workers {
		l.wg.Go(func() { l.work(w) })
	}
	return l
}

func (l *load) work(index int) {
	w := &l.workers[index]
	for n := 0; !l.stopped.Load(); n++ {
		slip := NewSlip(id(l.index, index, n))
		begin := time.Now()
		w.calling.Store(true)
		var reply Slip
		err := l.client.Call(l.method(n), slip, &reply)
		w.calling.Store(false)
		took := time.Since(begin)
		if err == nil && reply != slip {
			err = errWrong
		}
		class, code := classOf(err), uint8(0)
		if err != nil {
			code = l.code(class)
			l.noteDoubt(err, begin, begin.Add(took))
			if idempotent(l.method(n)) && class.Kind != kindRefused {
				l.keep(Failure{begin.Sub(l.began), took, slip.ID, class, attempts(err), err.Error()})
			}
		}
		w.fate = append(w.fate, code)
		w.micros = append(w.micros, uint32(min(took.Microseconds(), 1<<32-1)))
		time.Sleep(l.pause) // so that the machine is not the bottleneck
	}
}

func attempts(err error) int {
	var ce *rpcx.CallError
	if errors.As(err, &ce) {
		return ce.Attempts
	}
	return 0
}

// code returns the index of a class, and adds it if it is new.
func (l *load) code(c Class) uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.classes, c)
	if i < 0 && len(l.classes) == 254 { // texts that differ with each call, say
		c = Class{Kind: kindUnclear}
		i = slices.Index(l.classes, c)
	}
	if i < 0 {
		i = len(l.classes)
		l.classes = append(l.classes, c)
	}
	return uint8(i)
}

// noteDoubt keeps a call of which its caller does not know whether it has run.
func (l *load) noteDoubt(err error, began, end time.Time) {
	var ce *rpcx.CallError
	if !errors.As(err, &ce) || ce.Sent != rpcx.MaybeSent || idempotent(ce.Method) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.doubts) < maxFailures {
		l.doubts = append(l.doubts, doubt{ce.Endpoint, began, end, err.Error()})
	}
}

func (l *load) keep(f Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.failures, func(g Failure) bool { return g.Class == f.Class }); i >= 0 {
		f.Text = "" // one of each class is enough to read
	}
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, f)
	}
}

// stop ends the load: it lets calls end for as long as grace, cuts off those that
// have not, by closing the client, and waits for the workers.
func (l *load) stop(grace time.Duration) error {
	l.stopped.Store(true)
	for deadline := time.Now().Add(grace); l.inFlight() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // real processes take real time
	}
	l.cut = l.inFlight()
	err := l.client.Close()
	l.wg.Wait()
	return err
}

func (l *load) inFlight() int {
	n := 0
	for i := range l.workers {
		if l.workers[i].calling.Load() {
			n++
		}
	}
	return n
}
