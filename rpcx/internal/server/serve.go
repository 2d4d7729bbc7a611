// Package server is the server side of rpcx: it accepts connections and runs their
// requests with net/rpc's server.
//
// It guarantees:
//   - Each request that was read is answered once, also one whose method panics or ends
//     its goroutine, unless its connection ends first.
//   - Requests of a connection that arrive together run concurrently. A request that
//     arrives alone, of a method that is usually short, runs on the goroutine that read
//     it; one that then takes longer holds up those behind it for one to two milliseconds on Linux.
//   - Replies that become ready together leave together.
//   - A client that does not read its replies, or does not complete a request, costs a
//     bounded amount of memory, and in the end its connection.
//   - A request that is refused did not run; one whose deadline has passed is refused.
//   - A client whose connection broke can ask over another one what became of a request, and
//     the answer is final: see memory.
//   - A method can ask for a context that ends with the wait of its caller. One that does
//     not ask pays for it with no lock and no allocation.
//
// It imports the standard library, package codec, and of rpcx only internal/wire,
// internal/protocol and internal/callmeta: no client code.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/rpc"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// Config holds the options of Serve; rpcx.ServeConfig documents those that are not
// described here. Nothing has a default.
type Config struct {
	// Server has the methods.
	Server *rpc.Server
	// NewCodec makes the codec of a connection. It may be called concurrently.
	NewCodec func(io.ReadWriteCloser) rpc.ServerCodec
	// MaxConns is how many connections are served at a time; 0 is any number.
	MaxConns int
	// StopTimeout is how long running requests may take once the serving is to stop;
	// negative is without limit.
	StopTimeout time.Duration
	// CrashOnPanic lets a method that panics end the process.
	CrashOnPanic bool
	// KeepAnswers is how many bytes of answers are kept, and KeepAnswersFor for how long, for
	// clients that ask for them after their connection broke. 0 bytes is none.
	KeepAnswers    int64
	KeepAnswersFor time.Duration
	// Logger gets panics and connections that are closed or refused.
	Logger *slog.Logger
	// Counters are counted up. Nil means none.
	Counters *Counters
	// Trace has hooks, which do not panic. Nil means none, at no cost.
	Trace *Trace
}

// Serve serves the connections of lis until ctx ends: see rpcx.ServeConfig.Serve. It
// closes lis.
func Serve(ctx context.Context, lis net.Listener, cfg Config) error {
	s := &serving{cfg: cfg, log: cfg.Logger, freed: make(chan struct{}, 1), conns: make(map[*conn]struct{})}
	s.memory = newMemory(cfg.KeepAnswers, cfg.KeepAnswersFor)
	if s.counters = cfg.Counters; s.counters == nil {
		s.counters = new(Counters)
	}
	stop := context.AfterFunc(ctx, func() { lis.Close() })
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ended) })
	err := s.accept(ctx, lis)
	stop()
	lis.Close()
	if ctx.Err() != nil {
		err = nil
	}
	late := s.drain()
	close(ended)
	watching.Wait()
	if late == nil {
		return err // bare, so that it can be compared
	}
	return errors.Join(err, late)
}

// serving is one call of Serve. It starts a worker for each connection, which starts
// more of them as they are needed, and at times a flusher; drain waits for all of them.
type serving struct {
	cfg      Config
	log      *slog.Logger
	wg       sync.WaitGroup
	running  atomic.Int64  // requests that run now
	pings    atomic.Int64  // of these, the pings
	freed    chan struct{} // holds one; receives when a connection has ended
	methods  methods
	watchdog watchdog
	counters *Counters
	memory   *memory // nil if answers are not kept

	mu       sync.Mutex // protects following
	conns    map[*conn]struct{}
	admitted int // of these, those that count against MaxConns
	surplus  refusedConns
}

// drain ends the connections in order, or at once those that take too long.
func (s *serving) drain() error {
	for _, c := range s.all() {
		c.retire(protocol.ErrDraining)
	}
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	var late <-chan time.Time
	if s.cfg.StopTimeout > 0 {
		timer := time.NewTimer(s.cfg.StopTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-done:
		return nil
	case <-late:
	}
	running := s.running.Load()
	for _, c := range s.all() {
		c.lose(errStopped)
		c.abort(wire.ErrClosed)
	}
	if running == 0 {
		<-done // only clients were slow to close
		return nil
	}
	requests, connections := "requests", "their connections are"
	if running == 1 {
		requests, connections = "request", "its connection is"
	}
	return fmt.Errorf("rpcx: %d %s still ran %v after the serving was to stop; %s closed", running, requests, s.cfg.StopTimeout, connections)
}

// all returns the connections, for what must not be done under the lock.
func (s *serving) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}
