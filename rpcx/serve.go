package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/rescue"
	internal "resilientrpc/rpcx/internal/server"
)

// Serve is [ServeConfig.Serve] of the zero ServeConfig.
func Serve(ctx context.Context, lis net.Listener, server *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) error {
	var cfg ServeConfig
	return cfg.Serve(ctx, lis, server, newCodec)
}

// A ServeConfig holds the options of serving, modelled on net.ListenConfig. The zero
// value is the default. It may be used several times, also concurrently.
type ServeConfig struct {
	// MaxConns is the largest number of connections that are served at a time. A new one
	// replaces the connection that has been idle the longest, if that is for 5 s or more. A
	// connection is idle while no request runs or arrives (at 1 KB/s or more); pings do
	// not count. If none is idle, the requests of the new connection are refused, as when the
	// server stops, so that a Client of this package sends its calls elsewhere; the
	// connection is closed after 2 s. Zero means any number; negative is an error.
	MaxConns int
	// StopTimeout is how long requests may run after the context of Serve has ended, before
	// their connections are closed. Zero means 30 s; negative means no limit.
	StopTimeout time.Duration
	// CrashOnPanic lets a method that panics end the process, as it does in net/rpc.
	CrashOnPanic bool
	// KeepAnswers is how many bytes of answers are kept for clients that ask for them after
	// their connection broke: see "Recall of lost answers" in the package documentation. An answer
	// counts as its length on the wire plus 256 bytes, and a connection that has ended as
	// 512. An answer is dropped as soon as the client confirms it; without room, the oldest
	// are dropped first, and one that is larger than KeepAnswers is not kept. Zero means 16 MiB;
	// negative means that no answers are kept.
	KeepAnswers int
	// KeepAnswersFor is how long answers, and connections that have ended, are kept. Zero
	// means 30 s; negative is an error.
	KeepAnswersFor time.Duration
	// Logger gets panics of methods, failures of Accept, connections that are closed because
	// a client sends or reads too slowly, and, at most once a second, those beyond MaxConns.
	// Nil means slog.Default().
	Logger *slog.Logger
	// Stats counts the requests that are not run, or whose callers leave. Nil means none.
	Stats *ServeStats
	// Trace has hooks for the requests that are run. Nil means none.
	Trace *ServerTrace
}

// ServeStats counts the requests that are refused, late or canceled. The zero value is ready for
// use. Several calls of Serve may share one, and it may be read at any time.
type ServeStats struct{ counters internal.Counters }

// ServeCounts are the numbers of a ServeStats since it was made.
type ServeCounts struct {
	// Refused is how many requests were not run because the server was stopping, or had too
	// many connections.
	Refused int64
	// Late is how many requests were not run because their deadline had passed when they
	// were read. Only a Client of this package sends deadlines.
	Late int64
	// Canceled is how many requests were canceled while they ran: by the caller, by the loss
	// of the connection, or by its closing after ServeConfig.StopTimeout.
	Canceled int64
}

// Counts returns the present numbers.
func (s *ServeStats) Counts() ServeCounts {
	c := &s.counters
	return ServeCounts{Refused: c.Refused.Load(), Late: c.Late.Load(), Canceled: c.Canceled.Load()}
}

// Serve accepts connections on lis and serves each with server, until ctx ends;
// then it closes lis, refuses further requests, sends the replies of those that are
// running, closes the connections and returns nil. A nil server means
// [DefaultServer], a nil newCodec [codec.NewGobServer].
//
// It does what [Accept] does, and more. If at least 99 in 100 recent runs of a method took at
// most 100 microseconds, the method runs on the goroutine that has read its request, unless
// another request waits. If such a run takes longer, the next request waits for up to 2 ms on
// Linux, and for about 10 ms elsewhere. All other requests run concurrently, as with Accept.
// Replies that become ready together are written in one system call. If lis.Accept fails with
// a temporary error (its Temporary method says so, or it is a lack of file descriptors or
// memory), Serve calls it again, at growing intervals up to a second; any other error ends
// Serve. If a method panics or ends its goroutine, only its own call fails. A ping of a
// [Client] of this package is answered with the number of running requests.
//
// With the codecs of package codec, requests and replies carry metadata if the client
// understands them; any other client gets the bytes of net/rpc. A request whose deadline had
// passed when it was read is refused, with the same proof as below. So a process that was
// stopped for a while does not run the requests that have piled up, whose callers have left:
// the time for which it was stopped counts. The clocks of the two machines need not agree. By
// [ContextOf] a method learns that its caller has left, and continues the caller's trace.
//
// The answers to calls that are not idempotent are kept for a while, for clients of this package
// whose connection breaks before the answer has arrived: see "Recall of lost answers" in the package
// documentation. A method must not change its reply, nor what that refers to, after it has
// returned: the reply may be encoded again later.
//
// A client that sends requests and does not read the replies costs a few megabytes at most, or
// a few replies if these are larger: beyond 1 MB, no further request of its connection is read,
// and replies of methods wait. A connection is closed if no byte of a reply can be written for
// 10 to 25 seconds, or if after the first KB of a request less than 1 KB of it arrives in each
// of thirty seconds. A connection without a request may be idle for ever: see MaxConns.
//
// When ctx ends, each connection stays open until its client closes it, as a Client of this
// package does after a call or a ping was refused, or until it has been idle for two seconds.
// With the codecs of package codec, the refusal proves to such a client that the method did
// not run, and the client sends the call to another replica. To any other client it is an
// error of the method, even if a service passes it on. The connections of requests that still
// run after StopTimeout are closed, and Serve returns an error that says how many.
//
// Serve always closes lis. If an error of lis.Accept ends it, it returns that error as it is.
func (cfg *ServeConfig) Serve(ctx context.Context, lis net.Listener, server *rpc.Server, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) error {
	if rescue.IsNil(lis) {
		return errors.New("rpcx: Serve is given no listener")
	}
	if cfg.KeepAnswersFor < 0 {
		return errors.Join(fmt.Errorf("rpcx: ServeConfig.KeepAnswersFor is %v; want a positive duration, or 0 for 30s", cfg.KeepAnswersFor), lis.Close())
	}
	if cfg.MaxConns < 0 {
		return errors.Join(fmt.Errorf("rpcx: ServeConfig.MaxConns is %d; want a positive number, or 0 for any number", cfg.MaxConns), lis.Close())
	}
	c := internal.Config{
		Server: server, NewCodec: newCodec,
		MaxConns: cfg.MaxConns, StopTimeout: cfg.StopTimeout, CrashOnPanic: cfg.CrashOnPanic, Logger: cfg.Logger,
	}
	c.KeepAnswers, c.KeepAnswersFor = int64(max(0, cfg.KeepAnswers)), cfg.KeepAnswersFor
	if cfg.KeepAnswers == 0 {
		c.KeepAnswers = 16 << 20
	}
	if c.KeepAnswersFor == 0 {
		c.KeepAnswersFor = 30 * time.Second
	}
	if cfg.Stats != nil {
		c.Counters = &cfg.Stats.counters
	}
	if c.Server == nil {
		c.Server = rpc.DefaultServer
	}
	if c.NewCodec == nil {
		c.NewCodec = codec.NewGobServer
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Trace = cfg.Trace.guarded(c.Logger)
	return internal.Serve(ctx, lis, c)
}
