package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// serial serves one request of a connection at a time, as a debugger does.
func serial(s *rpc.Server, c io.ReadWriteCloser) {
	defer c.Close()
	server := &listening{ServerCodec: codec.NewGobServer(c)}
	for !server.ended {
		s.ServeRequest(server) //nolint:errcheck // the client was told
	}
}

// listening is a codec that knows the end of its stream.
type listening struct {
	rpc.ServerCodec
	ended bool
}

func (l *listening) ReadRequestHeader(r *rpc.Request) error {
	err := l.ServerCodec.ReadRequestHeader(r)
	l.ended = err != nil
	return err
}

// fourWorkers serves four requests of a connection at a time, and reads no further.
func fourWorkers(s *rpc.Server, c io.ReadWriteCloser) {
	s.ServeCodec(&limited{ServerCodec: codec.NewGobServer(c), room: make(chan struct{}, 4)})
}

type limited struct {
	rpc.ServerCodec
	room chan struct{}
}

func (l *limited) ReadRequestHeader(r *rpc.Request) error {
	l.room <- struct{}{}
	return l.ServerCodec.ReadRequestHeader(r)
}

func (l *limited) WriteResponse(r *rpc.Response, body any) error {
	<-l.room
	return l.ServerCodec.WriteResponse(r, body)
}

// deaf ignores methods that it does not know.
func deaf(s *rpc.Server, c io.ReadWriteCloser) {
	s.ServeCodec(&ignoring{codec.NewGobServer(c)})
}

type ignoring struct{ rpc.ServerCodec }

func (i *ignoring) ReadRequestHeader(r *rpc.Request) error {
	for {
		if err := i.ServerCodec.ReadRequestHeader(r); err != nil {
			return err
		}
		if strings.HasPrefix(r.ServiceMethod, "Bank.") {
			return nil
		}
		if err := i.ServerCodec.ReadRequestBody(nil); err != nil {
			return err
		}
	}
}

// lingering answers everything 1.2 s late.
func lingering(s *rpc.Server, c io.ReadWriteCloser) {
	s.ServeConn(&late{c, 1 << 20, 1200 * time.Millisecond})
}

// late hands out at most so many bytes at a time, and each time late.
type late struct {
	io.ReadWriteCloser
	most int
	by   time.Duration
}

func (l *late) Read(p []byte) (int, error) {
	n, err := l.ReadWriteCloser.Read(p[:min(len(p), l.most)])
	time.Sleep(l.by) // virtual
	return n, err
}

// obliging answers an unknown method with a result.
func obliging(s *rpc.Server, c io.ReadWriteCloser) {
	s.ServeCodec(&replying{codec.NewGobServer(c)})
}

type replying struct{ rpc.ServerCodec }

func (a *replying) WriteResponse(r *rpc.Response, body any) error {
	if !strings.HasPrefix(r.ServiceMethod, "Bank.") {
		r.Error, body = "", "pong"
	}
	return a.ServerCodec.WriteResponse(r, body)
}

// sleeps makes n calls at a time, each of which takes d, and returns their errors.
func sleeps(c *rpcx.Client, n, rounds int, d time.Duration) (errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range rounds {
				if err := c.Call("Bank.Sleep", d, new(string)); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errs
}

// A server that hangs up behind an unknown method, ignores it, or handles so many
// requests at a time loses no call to pings.
func TestPingsEndNoHealthyCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		serve           func(*rpc.Server, io.ReadWriteCloser)
		callers, rounds int
		takes           time.Duration
		pings           rpcx.PingSupport
		first           time.Duration // before the first call
	}{
		{"consul's loop", oneByOne, 3, 8, 700 * time.Millisecond, rpcx.PingsFatal, 0},
		{"consul's loop, after a while", oneByOne, 3, 8, 700 * time.Millisecond, rpcx.PingsFatal, time.Minute},
		{"consul's loop, one long call", oneByOne, 1, 2, 6 * time.Second, rpcx.PingsFatal, 0},
		{"ignores pings (electrs#219)", deaf, 3, 4, 5 * time.Second, rpcx.PingsIgnored, 0},
		{"ignores pings, after a while", deaf, 3, 4, 5 * time.Second, rpcx.PingsIgnored, time.Minute},
		{"one request at a time", serial, 2, 3, 6 * time.Second, rpcx.PingsAnswered, 0},
		{"one request at a time, after a while", serial, 2, 3, 6 * time.Second, rpcx.PingsAnswered, time.Minute},
		{"four workers and four calls", fourWorkers, 4, 3, 5 * time.Second, rpcx.PingsAnswered, 0},
		{"four workers and eight calls", fourWorkers, 8, 3, 5 * time.Second, rpcx.PingsAnswered, time.Minute},
		{"late with everything (lnd#4669)", lingering, 3, 4, 5 * time.Second, rpcx.PingsAnswered, 0},
		{"answers with a result", obliging, 3, 4, 5 * time.Second, rpcx.PingsAnswered, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				f.serve = tt.serve
				f.addrs = []string{"a:1"}
				f.Delay("a:1", time.Millisecond)
				f.start("a:1")
				c := f.dial()
				defer c.Close()
				time.Sleep(tt.first)
				require.Empty(t, sleeps(c, tt.callers, tt.rounds, tt.takes))
				s := c.Stats().Endpoints[0]
				require.Equal(t, tt.pings, s.Pings)
				require.Equal(t, breaker.Closed, s.State)
				require.Zero(t, s.Trips)
			})
		})
	}
}

// A debugger's session: its client lists threads while the program runs. The connection
// is given, and there is no other one by which the server could be asked.
func TestGivenConnectionToASerialServerIsNotCut(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.serve = serial
		f.start("a:1")
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		c := rpcx.NewClient(conn)
		defer c.Close()
		goOn := c.Go("Bank.Sleep", 6*time.Second, new(string), nil)
		require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
		require.NoError(t, (<-goOn.Done).Error)
		time.Sleep(time.Minute)
		require.NoError(t, c.Call("Bank.Sleep", 6*time.Second, new(string)))
	})
}

// A server of net/rpc that freezes in its first long call is found in the usual time,
// over a connection that was dialed or given.
func TestFrozenInItsFirstLongCall(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{false, true} {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			var c *rpcx.Client
			if given {
				conn, err := f.DialContext(t.Context(), "tcp", "a:1")
				require.NoError(t, err)
				c = rpcx.NewClient(conn)
			} else {
				c = f.dial()
			}
			defer c.Close()
			call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
			time.Sleep(1500 * time.Millisecond)
			f.Stall("a:1")
			begin := time.Now()
			require.ErrorIs(t, (<-call.Done).Error, rpcx.ErrUnresponsive)
			require.LessOrEqual(t, time.Since(begin), 4*time.Second)
		})
	}
}

// A frozen server that handles one request at a time is found as well, later.
func TestFrozenSerialServerIsFound(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		f.serve = serial
		f.addrs = []string{"a:1"}
		f.start("a:1")
		c := f.dial()
		defer c.Close()
		require.NoError(t, c.Call("Bank.Sleep", 4*time.Second, new(string)))
		call := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		time.Sleep(10 * time.Second)
		f.Stall("a:1")
		begin := time.Now()
		require.ErrorIs(t, (<-call.Done).Error, rpcx.ErrUnresponsive)
		require.LessOrEqual(t, time.Since(begin), 35*time.Second)
	})
}

// impatient makes n calls that run out of time, one at a time.
func impatient(t *testing.T, c *rpcx.Client, n int, takes, allowed time.Duration) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), allowed)
		require.Error(t, c.CallContext(ctx, "Bank.Sleep", takes, new(string)))
		cancel()
	}
}

// A call on a live connection goes on while the breaker is open: any byte is life, and
// a trial is as patient as the network is slow.
func TestTrialCutsNoCall(t *testing.T) {
	t.Parallel()
	t.Run("round trips longer than a slot", func(t *testing.T) {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			f.Delay("a:1", 150*time.Millisecond)
			f.dialer.DetectionTime = time.Second
			c := f.dial()
			defer c.Close()
			long := c.Go("Bank.Sleep", 20*time.Second, new(string), nil)
			impatient(t, c, 5, time.Minute, 3*time.Second)
			require.NoError(t, (<-long.Done).Error)
		})
	})
	t.Run("a server that drains", func(t *testing.T) {
		inFleet(t, 0, func(t *testing.T, f *fleet) {
			ln := f.Listen("a:1")
			server := rpc.NewServer()
			require.NoError(t, server.RegisterName("Bank", &Bank{name: "a:1", ledger: f.ledger}))
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- rpcx.Serve(ctx, ln, server, nil) }()
			c, err := f.dialer.Dial("tcp", "a:1")
			require.NoError(t, err)
			defer c.Close()
			long := c.Go("Bank.Sleep", 20*time.Second, new(string), nil)
			impatient(t, c, 5, 20*time.Second, 500*time.Millisecond)
			stop()
			require.NoError(t, (<-long.Done).Error)
			require.NoError(t, <-served)
		})
	})
}

// Over real sockets, since the server's writes wait for each other with a mutex.
func TestTrialCutsNoDownload(t *testing.T) {
	t.Parallel()
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "a", ledger: &ledger{runs: make(map[int]int)}}))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	go server.Accept(lis)
	d := rpcx.Dialer{DetectionTime: time.Second, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &dripping{conn, late{conn, 10_000, 200 * time.Millisecond}}, err
	}}
	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	file := new(string)
	long := c.Go("Bank.Fill", 1<<18, file, nil) // 5 s
	time.Sleep(500 * time.Millisecond)          // until it comes
	impatient(t, c, 5, 0, 300*time.Millisecond)
	require.NoError(t, (<-long.Done).Error)
	require.Len(t, *file, 1<<18)
}

// dripping brings 50 KB/s.
type dripping struct {
	net.Conn
	late late
}

func (d *dripping) Read(p []byte) (int, error) { return d.late.Read(p) }

// A server is in use five seconds after it has returned, however it takes pings.
func TestEveryKindOfServerReturns(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*rpc.Server, io.ReadWriteCloser){
		"of net/rpc":            func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeConn(c) },
		"ignores pings":         deaf,
		"hangs up behind pings": oneByOne,
		"answers with a result": obliging,
		"takes 1.2 s to answer": lingering,
	} {
		for _, known := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 2, func(t *testing.T, f *fleet) {
					f.serve = serve
					f.start("x:1")
					if !known {
						f.kill("x:1")
					}
					f.addrs = append(f.addrs, "x:1")
					c := f.dial()
					defer c.Close()
					sleeps(c, 9, 10, 500*time.Millisecond)
					if known {
						f.kill("x:1")
					}
					sleeps(c, 9, 20, 500*time.Millisecond)
					f.Resume("x:1")
					back := time.Now()
					for i := 1; where(t, c, 1)["x:1"] == 0 && time.Since(back) < 20*time.Second; i++ {
						if i%30 == 0 {
							time.Sleep(100 * time.Millisecond)
						}
					}
					limit := 5 * time.Second
					if name == "takes 1.2 s to answer" {
						limit += 1200 * time.Millisecond // so is the ping that lets it back in
					}
					if !known && name == "ignores pings" {
						limit = 15 * time.Second // three trials in vain: it might be frozen
					}
					require.Less(t, time.Since(back), limit)
				})
			})
		}
	}
}

// A client that makes no calls asks its endpoints less often.
func TestForgottenClientAsksLess(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		pings := func() uint64 {
			before := c.Stats().Endpoints[0].BytesWritten
			time.Sleep(time.Minute)
			return c.Stats().Endpoints[0].BytesWritten - before
		}
		busy := pings()
		time.Sleep(time.Minute)
		require.Less(t, pings(), busy/4)
		where(t, c, 1)
		time.Sleep(10 * time.Second)
		require.Greater(t, pings(), busy*2/3, "it is in use again")

		f.kill("a:1")
		time.Sleep(time.Hour)
		dials := f.Dials("a:1")
		time.Sleep(time.Minute)
		require.LessOrEqual(t, f.Dials("a:1")-dials, 30, "half of those of a client in use")
	})
}
