package main

import (
	"slices"
	"time"

	grpc "google.golang.org/grpc/balancer"

	"resilientrpc/balancer"
)

// A call is one call from its start to its end.
type call struct {
	client int
	server int
	start  time.Duration
	work   float64 // to be done for it, 1 on average
	luck   float64 // whether a server that fails some calls fails it

	ended   bool
	outcome outcome

	// what the picker wants to remember
	ticket balancer.Ticket
	done   func(grpc.DoneInfo)
	met    int // calls in the server when it came

	began time.Duration // its service

	// running is how many calls the server had when it answered, with this one; 0 if
	// it did not answer.
	running int
}

type outcome uint8

const (
	succeeded outcome = iota
	failed            // an error from the transport, such as a refused connection
	timedOut          // the caller's own deadline
)

// quick is how long a failure takes that needs no work.
const quick = 200 * time.Microsecond

// A server serves calls in the order in which they come.
type server struct {
	world *world
	index int

	workers int // calls served at once; 0 means any number
	backlog int // calls that may wait for a worker; those beyond are refused
	serve   func(*world, *call) time.Duration

	// what is wrong with it
	slow  float64       // factor on the time of service
	fails float64       // share of calls that fail at once
	dead  bool          // refuses all
	awake time.Duration // nothing is done before this time
	since time.Duration // when that pause began

	life    int // number of restarts; a call in service belongs to one life
	serving []*call
	queue   []*call
}

// fixed returns a time of service.
func fixed(d time.Duration) func(*world, *call) time.Duration {
	return func(*world, *call) time.Duration { return d }
}

// receive takes a call.
func (s *server) receive(c *call) {
	switch {
	case s.dead, c.luck < s.fails:
		s.refuse(c)
	case s.workers == 0 || len(s.serving) < s.workers:
		s.begin(c)
	case len(s.queue) < s.backlog:
		s.queue = append(s.queue, c)
	default:
		s.refuse(c)
	}
}

func (s *server) refuse(c *call) {
	w := s.world
	w.at(w.now+quick, func() { w.end(c, failed) })
}

// begin puts a call into service.
func (s *server) begin(c *call) {
	c.began = s.world.now
	s.serving = append(s.serving, c)
	took := time.Duration(float64(s.serve(s.world, c)) * s.slow)
	s.world.schedule(event{at: max(s.world.now, s.awake) + took, call: c, life: s.life})
}

// finish ends a call's service and begins that of the next one whose caller
// still waits.
func (s *server) finish(c *call, life int) {
	w := s.world
	if life != s.life { // the server died meanwhile
		return
	}
	if w.now < s.awake { // it was in service when the pause began
		w.schedule(event{at: w.now + s.awake - s.since, call: c, life: life})
		return
	}
	i := slices.Index(s.serving, c)
	c.running = s.load()
	s.serving = slices.Delete(s.serving, i, i+1)
	w.end(c, succeeded)
	for len(s.queue) > 0 && len(s.serving) < s.workers {
		next := s.queue[0]
		s.queue = s.queue[1:]
		if !next.ended {
			s.begin(next)
		}
	}
}

// pause stops the server for a time: it answers nothing and refuses nothing.
func (s *server) pause(d time.Duration) {
	s.since, s.awake = s.world.now, s.world.now+d
}

// kill ends the server, its connections, and so the calls in it.
func (s *server) kill() {
	s.dead = true
	s.life++
	lost := append(s.serving, s.queue...)
	s.serving, s.queue = nil, nil
	for _, c := range lost {
		s.world.end(c, failed)
	}
}

// restart brings a killed server back.
func (s *server) restart() { s.dead = false }
