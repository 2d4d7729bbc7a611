package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// A world is one run: clients that call servers in virtual time. It is not safe
// for concurrent use; runs with the same seed are the same.
type world struct {
	now time.Duration
	rng *rand.Rand
	// traffic makes the open clients' calls. It is apart, so that pickers are
	// compared by the same calls at the same times with the same work.
	traffic *rand.Rand
	events  queue
	serial  uint64
	servers []server
	clients []client
	timeout time.Duration // of every call; 0 if none
	waiting []*call       // in the order of their timeouts
	// met is how long the last calls took, by server and by how many others they
	// met there: what servers remember for probes.
	met    [][prequalLevels][]time.Duration
	result result
}

// A client is one caller with a picker of its own.
type client struct {
	picker picker
	rate   float64 // calls per second; 0 if closed
	until  time.Duration
	next   func() // makes the next call of an open client
	left   int    // calls that a closed loop has yet to start
	closed bool   // whether the end of a call starts the next
	unseen bool   // whether its calls are no part of the result
}

// A picker is a load balancing policy as one client uses it.
type picker interface {
	// pick chooses c.server, from 0.
	pick(c *call, now time.Duration)
	// done reports the end of a call that pick has placed.
	done(c *call, now time.Duration)
}

func newWorld(seed uint64, servers int) *world {
	w := &world{
		rng:     rand.New(rand.NewPCG(seed, 0x5eed)),
		traffic: rand.New(rand.NewPCG(seed, 0xca11)),
		servers: make([]server, servers),
	}
	w.result.picks = make([]int, servers)
	for i := range w.servers {
		w.servers[i] = server{world: w, index: i, slow: 1, serve: fixed(0)}
	}
	return w
}

// open has a client call at a rate, with exponential gaps, for a time.
func (w *world) open(p picker, perSecond float64, until time.Duration) {
	if b, ok := p.(bound); ok {
		b.bind(w)
	}
	i := len(w.clients)
	w.clients = append(w.clients, client{picker: p, rate: perSecond, until: until, next: func() {
		w.start(i)
		w.arrive(i)
	}})
	w.arrive(i)
}

// closed has a client's workers call without pause until so many calls have
// been started.
func (w *world) closed(p picker, workers, calls int) {
	if b, ok := p.(bound); ok {
		b.bind(w)
	}
	w.clients = append(w.clients, client{picker: p, left: calls, closed: true})
	for range workers {
		w.next(len(w.clients) - 1)
	}
}

// unseen has another client's workers call without pause, which is no part of the
// result.
func (w *world) unseen(p picker, workers int) {
	w.clients = append(w.clients, client{picker: p, left: math.MaxInt, closed: true, unseen: true})
	for range workers {
		w.next(len(w.clients) - 1)
	}
}

// arrive schedules the next call of an open client.
func (w *world) arrive(i int) {
	c := &w.clients[i]
	at := w.now + time.Duration(w.traffic.ExpFloat64()/c.rate*float64(time.Second))
	if at < c.until {
		w.at(at, c.next)
	}
}

// next starts the next call of a closed client.
func (w *world) next(i int) {
	if w.clients[i].left > 0 {
		w.clients[i].left--
		w.start(i)
	}
}

// start places one call.
func (w *world) start(i int) {
	c := &call{client: i, start: w.now, work: w.traffic.ExpFloat64(), luck: w.traffic.Float64()}
	w.clients[i].picker.pick(c, w.now)
	if !w.clients[i].unseen {
		w.result.started(c)
	}
	if w.timeout > 0 {
		w.waiting = append(w.waiting, c)
	}
	w.servers[c.server].receive(c)
}

// end finishes a call for its caller. A call ends once.
func (w *world) end(c *call, o outcome) {
	if c.ended {
		return
	}
	c.ended, c.outcome = true, o
	w.clients[c.client].picker.done(c, w.now)
	if !w.clients[c.client].unseen {
		w.result.ended(c, w.now)
	}
	switch cl := &w.clients[c.client]; {
	case cl.unseen:
		w.at(w.now, func() { w.next(c.client) }) // behind those that wait at the server
	case cl.closed:
		w.next(c.client)
	}
}

// at calls do at a time.
func (w *world) at(t time.Duration, do func()) { w.schedule(event{at: t, do: do}) }

func (w *world) schedule(e event) {
	w.serial++
	e.serial = w.serial
	w.events.push(e)
}

// run goes through the events up to a time, and through all if it is negative.
func (w *world) run(until time.Duration) {
	for {
		t, expires := w.nextTime()
		if t < 0 || until >= 0 && t > until {
			return
		}
		w.now = t
		if expires {
			c := w.waiting[0]
			w.waiting = w.waiting[1:]
			w.end(c, timedOut)
			continue
		}
		e := w.events.pop()
		if e.do != nil {
			e.do()
			continue
		}
		w.servers[e.call.server].finish(e.call, e.life)
	}
}

// nextTime returns when the next event is, negative if there is none, and
// whether it is a timeout.
func (w *world) nextTime() (t time.Duration, expires bool) {
	for len(w.waiting) > 0 && w.waiting[0].ended {
		w.waiting = w.waiting[1:]
	}
	t = -1
	if len(w.events) > 0 {
		t = w.events[0].at
	}
	if len(w.waiting) > 0 {
		if at := w.waiting[0].start + w.timeout; t < 0 || at < t {
			return at, true
		}
	}
	return t, false
}

// exp returns a random duration with an exponential distribution.
func (w *world) exp(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64() * float64(mean))
}

// An event is the end of a call's service or something else to do.
type event struct {
	at     time.Duration
	serial uint64 // first come, first served
	call   *call
	life   int
	do     func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.serial < o.serial
}

// A queue is a heap of events.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
	*q = h
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}
