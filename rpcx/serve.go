package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// Serve is [ServeConfig.Serve] of the zero ServeConfig.
func Serve(ctx context.Context, lis net.Listener, server *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) error {
	var cfg ServeConfig
	return cfg.Serve(ctx, lis, server, newCodec)
}

// A ServeConfig holds the options of serving, in net.ListenConfig's image. The zero
// value is the default. It may be used several times, also concurrently.
type ServeConfig struct {
	// MaxConns is how many connections are served at a time; further ones are closed
	// at once, so that their clients go elsewhere. Zero means any number.
	MaxConns int
	// StopTimeout is how long requests under way may take once the serving is to
	// stop, before their connections are closed. Zero means 30 s; negative means
	// as long as they take.
	StopTimeout time.Duration
	// CrashOnPanic lets a method that panics end the process, as it does in net/rpc.
	CrashOnPanic bool
	// Logger is told of panics, of failing accepts, and of connections beyond MaxConns.
	// Nil means slog.Default().
	Logger *slog.Logger
}

// Serve accepts connections on lis and serves each with server, until ctx ends;
// then it closes lis, refuses further requests, lets those that run have their
// replies, closes the connections and returns nil. A nil server means
// [DefaultServer], a nil newCodec [codec.NewGobServer].
//
// It does what [Accept] does, and more. Replies that become ready together leave in
// one system call. A failing Accept is tried again, at growing intervals up to a
// second, until lis is closed. A method that panics, or ends its goroutine, costs
// its own call only, which gets an error. A ping of a [Client] of this package is
// answered with how busy the server is.
//
// Connections end in order: when ctx ends, each stays open until its client closes
// it, as a Client of this package does once a call or a ping of its has been refused,
// or until it has been idle for two seconds. With the codecs of package codec the
// refusal proves that the method did not run, and such a client takes the call to
// another replica; to all others it is an error of the method, also if a service that
// got it passes it on. Requests that still run after
// StopTimeout lose their connections, and Serve returns an error that says how many.
//
// Serve closes lis in any case, and returns Accept's error if that ended it.
func (cfg *ServeConfig) Serve(ctx context.Context, lis net.Listener, server *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) error {
	if cfg.MaxConns < 0 {
		return errors.Join(fmt.Errorf("rpcx: ServeConfig.MaxConns is %d; want a positive number, or 0 for any number", cfg.MaxConns), lis.Close())
	}
	s := &serving{cfg: *cfg, server: server, newCodec: newCodec, log: cfg.Logger, conns: make(map[*serverConn]struct{})}
	if s.server == nil {
		s.server = rpc.DefaultServer
	}
	if s.newCodec == nil {
		s.newCodec = codec.NewGobServer
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.cfg.StopTimeout == 0 {
		s.cfg.StopTimeout = 30 * time.Second
	}
	stop := context.AfterFunc(ctx, func() { lis.Close() })
	err := s.accept(ctx, lis)
	stop()
	lis.Close()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, s.drain())
}

// serving is one call of Serve. It starts a worker for each connection, which starts
// more of them as they are needed, and at times a flusher, and drain waits for them.
type serving struct {
	cfg      ServeConfig
	server   *rpc.Server
	newCodec func(io.ReadWriteCloser) rpc.ServerCodec
	log      *slog.Logger
	wg       sync.WaitGroup
	draining atomic.Bool
	running  atomic.Int64 // requests that run now

	mu    sync.Mutex // protects following
	conns map[*serverConn]struct{}
}

const (
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
)

func (s *serving) accept(ctx context.Context, lis net.Listener) error {
	delay := time.Duration(0)
	for {
		conn, err := lis.Accept()
		switch {
		case err == nil:
			delay = 0
			s.serve(conn)
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of file descriptors, say: it passes (net/http waits the same way).
		if delay == 0 { // once for a row of them
			s.log.Error("accept failed; trying again", "error", err)
		}
		delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// serve starts to serve a connection, if there is room for it.
func (s *serving) serve(conn net.Conn) {
	c := newServerConn(s, conn)
	if !s.add(c) {
		s.log.Warn("connection refused: there are as many as ServeConfig.MaxConns", "max", s.cfg.MaxConns, "from", conn.RemoteAddr())
		conn.Close()
		return
	}
	s.wg.Add(1) // until c is over
	go c.serve()
}

func (s *serving) add(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.MaxConns > 0 && len(s.conns) >= s.cfg.MaxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *serving) remove(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// drain ends the connections in order, or those that take too long.
func (s *serving) drain() error {
	s.draining.Store(true)
	s.each((*serverConn).endIfIdle)
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
	s.each(func(c *serverConn) { c.conn.Close() })
	if running == 0 {
		<-done // only clients were slow to close
		return nil
	}
	return fmt.Errorf("rpcx: %d requests still ran %v after the serving was to stop; their connections are closed", running, s.cfg.StopTimeout)
}

// each calls f for every connection.
func (s *serving) each(f func(*serverConn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
