package server

import (
	"bytes"
	"context"
	"io"
	"net/rpc"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/internal/subtest"
	"resilientrpc/rpcx/internal/wire"
)

func newVaried() *Varied { return &Varied{open: make(chan struct{}), began: make(chan struct{}, 100)} }

// train makes Do known as a short method.
func train(t *testing.T, c *rpc.Client) {
	t.Helper()
	for range 2 * longCost {
		do(t, c, "")
	}
}

func do(t *testing.T, c *rpc.Client, what string) {
	t.Helper()
	var reply string
	require.NoError(t, c.Call("Varied.Do", what, &reply))
	require.Equal(t, what, reply)
}

// inEachCodec runs f in virtual time for each codec, with a client of a server of v.
func inEachCodec(t *testing.T, f func(t *testing.T, v *Varied, lis *tracked, c *rpc.Client)) {
	t.Helper()
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				v, lis := newVaried(), &tracked{Listener: network.Listen("s:1")}
				cfg := config(t, v)
				cfg.NewCodec = codec.server
				stop := serve(lis, cfg)
				c := rpc.NewClientWithCodec(codec.client(dial(t, network)))
				f(t, v, lis, c)
				require.NoError(t, c.Close())
				require.NoError(t, stop())
			})
		})
	}
}

// A short method runs on the goroutine that has read its request, and that goes on to
// read: no other one has to be woken. If the method is new or slow, the reading goes
// to another one for each request. On a busy machine, the watchdog may find that a run has
// taken a millisecond, whatever the method does; it is tried again then.
func TestShortRequestRunsWhereItWasRead(t *testing.T) {
	const calls, few = 100, 25
	inEachCodec(t, func(t *testing.T, v *Varied, lis *tracked, c *rpc.Client) {
		times := func(n int, f func()) func() {
			return func() {
				for range n {
					f()
				}
			}
		}
		switches := lis.during(times(longCost, func() { do(t, c, "") }))
		require.GreaterOrEqual(t, switches, longCost, "it is new")
		train(t, c)
		here := 0
		seldom := func(f func()) {
			for try := 1; lis.during(times(calls, f)) >= few; try++ {
				require.Less(t, try, 10)
				train(t, c)
				here = 0
			}
		}
		seldom(func() {
			do(t, c, "")
			synctest.Wait()
			if lis.reader == v.ran.Load() {
				here++
			}
		})
		require.Greater(t, here, calls-few)

		seldom(func() { // there is no method to run
			require.ErrorContains(t, c.Call("Varied.Nothing", 1, new(int)), "can't find method")
			require.NoError(t, c.Call(codec.PingMethod, struct{}{}, new(struct{})))
		})

		slow := func() { require.NoError(t, c.Call("Varied.Slow", 1, new(int))) }
		switches = lis.during(times(calls, slow))
		require.GreaterOrEqual(t, switches, calls-1)
	})
}

// Requests behind a method do not wait for it. Only one that is unexpectedly long holds
// them up, for two looks of the watchdog, and once.
func TestRequestsBehindAMethod(t *testing.T) {
	inEachCodec(t, func(t *testing.T, v *Varied, _ *tracked, c *rpc.Client) {
		behind := func() time.Duration {
			begin := time.Now()
			require.ErrorContains(t, c.Call("Varied.Nothing", 1, new(int)), "can't find method")
			return time.Since(begin)
		}
		first := c.Go("Varied.Do", "sleep", new(string), nil)
		synctest.Wait()
		require.Zero(t, behind(), "the method is new")
		require.NoError(t, (<-first.Done).Error)

		slow := c.Go("Varied.Slow", 1, new(int), nil)
		synctest.Wait()
		require.Zero(t, behind(), "the method is slow")
		require.NoError(t, (<-slow.Done).Error)

		train(t, c)
		begin := time.Now()
		surprise := c.Go("Varied.Do", "sleep", new(string), nil)
		for i := range 10 {
			again := c.Go("Varied.Do", "sleep", new(string), nil)
			synctest.Wait()
			wait := behind()
			if i == 0 {
				require.LessOrEqual(t, wait, 2*watchdogPeriod)
			} else {
				require.Zero(t, wait, "another surprise of the method is none")
			}
			require.LessOrEqual(t, time.Since(begin), 2*watchdogPeriod)
			defer func() { require.NoError(t, (<-again.Done).Error) }()
		}
		require.NoError(t, (<-surprise.Done).Error)
		require.Less(t, time.Since(begin), time.Second+2*watchdogPeriod+1)
	})
}

// A method may wait for another request of the same connection.
func TestMethodWaitsForAnotherRequest(t *testing.T) {
	inEachCodec(t, func(t *testing.T, v *Varied, _ *tracked, c *rpc.Client) {
		for range 3 {
			train(t, c)
			wait := c.Go("Varied.Do", "wait", new(string), nil)
			synctest.Wait()
			require.NoError(t, c.Call("Varied.Open", 0, new(int)))
			require.NoError(t, (<-wait.Done).Error)
		}
	})
}

// A short method may end in every way.
func TestShortMethodDoesNotReturn(t *testing.T) {
	inEachCodec(t, func(t *testing.T, v *Varied, _ *tracked, c *rpc.Client) {
		for _, end := range []string{"panic", "exit", "exit", "panic", "exit"} {
			train(t, c)
			require.ErrorContains(t, c.Call("Varied.Do", end, new(string)), "panicked")
			do(t, c, "")
			do(t, c, "sleep")
		}
	})
}

// A connection is drained as ever while a method keeps the reading.
func TestDrainWhileTheReadingIsKept(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				v := newVaried()
				cfg := config(t, v)
				cfg.NewCodec = codec.server
				stop := serve(network.Listen("s:1"), cfg)
				c := rpc.NewClientWithCodec(codec.client(dial(t, network)))
				train(t, c)
				begin := time.Now()
				call := c.Go("Varied.Do", "wait", new(string), nil)
				<-v.began
				ended := make(chan error, 1)
				go func() { ended <- stop() }()
				synctest.Wait()
				require.ErrorContains(t, c.Call("Varied.Do", "", new(string)), "draining")
				v.open <- struct{}{}
				require.NoError(t, (<-call.Done).Error)
				require.NoError(t, <-ended)
				require.Less(t, time.Since(begin), 5*time.Second)
				c.Close()
			})
		})
	}
}

// Nor does a method that does not end keep Serve from stopping in time.
func TestStopWhileTheReadingIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		v := newVaried()
		cfg := config(t, v)
		cfg.StopTimeout = 3 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		lis := network.Listen("s:1")
		go func() { ended <- Serve(ctx, lis, cfg) }()
		c := rpc.NewClient(dial(t, network))
		train(t, c)
		call := c.Go("Varied.Do", "wait", new(string), nil)
		<-v.began
		cancel()
		begin := time.Now()
		require.ErrorContains(t, <-ended, "rpcx: 1 request still ran 3s after the serving was to stop; its connection is closed")
		require.LessOrEqual(t, time.Since(begin), 3*time.Second)
		require.Error(t, (<-call.Done).Error)
		v.open <- struct{}{}
		c.Close()
	})
}

// Replies that wait for the next request of the reader do not wait for one that keeps the
// reading.
func TestKeptReadingHoldsNoReplyBack(t *testing.T) {
	s, sent := new(serving), new(bytes.Buffer)
	c := &conn{serving: s}
	c.stream = newStream(wire.New(buffered{sent}, wire.Config{Go: func(f func()) { f() }}))
	reply := func(text string) {
		c.stream.BeginFrame()
		c.stream.WriteFrame([]byte(text)) //nolint:errcheck // it goes to memory
		c.stream.EndFrame()
	}
	reply("before")
	require.True(t, c.stream.joinsNextFlush())
	q := newRequest(c)
	c.keepReading(q)
	require.Equal(t, "before", sent.String())
	require.False(t, c.stream.joinsNextFlush())
	require.True(t, c.resumeReading(q))
	s.wg.Wait()
}

// buffered is a connection that takes all.
type buffered struct{ *bytes.Buffer }

func (buffered) Close() error { return nil }

// A client that does not read its replies keeps a worker in its write, and gets them all
// once it reads.
func TestShortRequestsWithoutRoomForReplies(t *testing.T) {
	const requests, size = 2000, 8 << 10 // more than sockets hold
	leak.Check(t)
	lis, bulk := narrow{listen(t)}, newBulk(size)
	stop := serve(lis, config(t, bulk))
	conn := lis.dial(t)
	client := codec.NewGobClient(conn)
	for i := range requests {
		require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "Bulk.Get", Seq: uint64(i)}, i))
		for n := 0; n < 100 && bulk.ran.Load() <= int64(i); n++ {
			runtime.Gosched() // most of them come alone
		}
	}
	require.NoError(t, conn.CloseWrite())
	n, err := io.Copy(io.Discard, conn)
	require.NoError(t, err)
	require.Greater(t, n, int64(requests*size))
	require.EqualValues(t, requests, bulk.ran.Load())
	require.NoError(t, client.Close())
	require.NoError(t, stop())
}

// Over real sockets, with methods that wait and that compute.
func TestSurprisesDoNotHoldUpRequests(t *testing.T) {
	t.Parallel() // it waits, or leaves a processor to the others
	var all subtest.Group
	defer all.Wait()
	for what, surprises := range map[string]int{"sleep": 3, "compute": 1} {
		all.Run(t, what, func(t *testing.T) {
			lis := listen(t)
			stop := serve(lis, config(t, newVaried()))
			c, err := rpc.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			for range surprises {
				train(t, c)
				begin := time.Now()
				long := c.Go("Varied.Do", what, new(string), make(chan *rpc.Call, 1))
				for n := range 3 {
					require.Error(t, c.Call("Varied.Nothing", n, new(int)))
				}
				require.Less(t, time.Since(begin), time.Second, "they did not wait for the method")
				require.NoError(t, (<-long.Done).Error)
			}
			require.NoError(t, c.Close())
			require.NoError(t, stop())
		})
	}
}

// Many connections keep their reading, and the watchdog ends with the last of them.
func TestWatchdogOfManyConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		v := newVaried()
		cfg := config(t, v)
		stop := serve(network.Listen("s:1"), cfg)
		var clients []*rpc.Client
		for range 20 {
			c := rpc.NewClient(dial(t, network))
			clients = append(clients, c)
			train(t, c)
		}
		var calls []*rpc.Call
		for _, c := range clients {
			calls = append(calls, c.Go("Varied.Do", "wait", new(string), nil))
		}
		synctest.Wait()
		for _, c := range clients {
			require.NoError(t, c.Call("Varied.Open", 0, new(int)))
		}
		for i, call := range calls {
			require.NoError(t, (<-call.Done).Error)
			require.NoError(t, clients[i].Close())
		}
		require.NoError(t, stop())
	})
}
