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
	// MaxConns is the number of connections that are served at a time. A further one
	// replaces the connection that has been idle the longest, if for 5 s or more. A
	// connection is idle while no request runs or arrives (at 1 KB/s or more); pings do
	// not count. If none is idle, requests of the further connection are refused, as
	// when the serving stops, so that a Client of this package sends its calls elsewhere; the
	// connection is closed after 2 s. Zero means any number.
	MaxConns int
	// StopTimeout is how long requests under way may take once the serving is to
	// stop, before their connections are closed. Zero means 30 s; negative means
	// as long as they take.
	StopTimeout time.Duration
	// CrashOnPanic lets a method that panics end the process, as it does in net/rpc.
	CrashOnPanic bool
	// KeepAnswers is how many bytes of answers are kept for clients that ask for them after
	// their connection broke: see "Lost answers" in the package documentation. An answer
	// counts with its length on the wire and 256 bytes, and a connection that has ended with
	// 512. The oldest are dropped first, and an answer that has arrived as soon as its client
	// says so. Zero means 16 MiB; negative means none.
	KeepAnswers int
	// KeepAnswersFor is how long they are kept, and a connection is known after its end.
	// Zero means 30 s.
	KeepAnswersFor time.Duration
	// Logger gets panics, of failing accepts, of connections that are closed because
	// their client does not go on, and, at most once a second, of those beyond MaxConns.
	// Nil means slog.Default().
	Logger *slog.Logger
	// Stats counts the requests that are not run, or whose callers leave. Nil means none.
	Stats *ServeStats
	// Trace has hooks for the requests that are run. Nil means none.
	Trace *ServerTrace
}

// ServeStats counts what has become of requests. The zero value is ready for use; it may
// belong to several servings, and be read at any time.
type ServeStats struct{ counters internal.Counters }

// ServeCounts are the numbers of a ServeStats since it was made.
type ServeCounts struct {
	// Refused is how many requests were not run because the serving was to stop, or there
	// were too many connections.
	Refused int64
	// Late is how many requests were not run because their deadline had passed when they
	// were read. Only a Client of this package sends deadlines.
	Late int64
	// Canceled is how many requests lost their callers while they ran: these had left, or the
	// connection was lost, or closed after ServeConfig.StopTimeout.
	Canceled int64
}

// Counts returns the present numbers.
func (s *ServeStats) Counts() ServeCounts {
	c := &s.counters
	return ServeCounts{Refused: c.Refused.Load(), Late: c.Late.Load(), Canceled: c.Canceled.Load()}
}

// Serve accepts connections on lis and serves each with server, until ctx ends;
// then it closes lis, refuses further requests, lets those that run have their
// replies, closes the connections and returns nil. A nil server means
// [DefaultServer], a nil newCodec [codec.NewGobServer].
//
// It does what [Accept] does, and more. A short method, of whose
// recent runs 99 in 100 took at most 100 microseconds, runs on the goroutine that has read its
// request, if no other request waits. If such a run takes long for once, the next request
// waits for up to 2 ms on Linux, and for about 10 ms elsewhere. All other requests run
// concurrently, as with Accept. Replies that become ready together leave in
// one system call. A failing Accept is tried again, at growing intervals up to a
// second, if its error is temporary (its Temporary method says so, or it is a lack of
// file descriptors or memory); any other error ends the serving. A method that panics,
// or ends its goroutine, costs its own call only, which gets an error. A ping of a
// [Client] of this package is answered with how busy the server is.
//
// With the codecs of package codec, requests and replies carry what net/rpc's have no place
// for, if the client understands it; any other one is sent net/rpc's bytes. A request whose
// deadline had passed when it was read is refused, with the same proof as below: so a process
// that was stopped for a while does not run what has piled up for callers that have left. The
// time that it was stopped for counts, and the clocks of the two machines need not agree.
// A method learns that its caller has left by [ContextOf], which also continues its trace.
//
// The answers to calls that are not idempotent are kept for a while, for clients of this package
// whose connection breaks before the answer has arrived: see "Lost answers" in the package
// documentation. A method must not change its reply, nor what that refers to, once it has
// returned: the reply may be encoded again later.
//
// A client that sends requests and does not read the replies costs no more than a few
// megabytes, or replies: beyond 1 MB, no further request of its connection is read, and
// a method's reply waits. A connection is closed if it takes no byte of a reply for twenty
// seconds, and if a request has begun and less than 1 KB of it comes in each of thirty
// seconds. One without a request may be idle as long as it likes: see MaxConns.
//
// Connections end in order: when ctx ends, each stays open until its client closes
// it, as a Client of this package does once a call or a ping of its has been refused,
// or until it has been idle for two seconds. With the codecs of package codec the
// refusal proves that the method did not run, and such a client takes the call to
// another replica; to all others it is an error of the method, also if a service that
// got it passes it on. Requests that still run after
// StopTimeout lose their connections, and Serve returns an error that says how many.
//
// Serve closes lis in any case, and returns Accept's error, as it is, if that ended it.
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
