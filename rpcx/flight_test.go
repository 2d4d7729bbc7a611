package rpcx_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

// Go has all that Call has: every test of it is one of Call's.

func TestGoIsTriedAgain(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("*")
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		var calls []*rpcx.Call
		for range 6 {
			calls = append(calls, c.Go("Bank.Sleep", time.Minute, new(string), nil))
		}
		time.Sleep(time.Second)
		f.kill("b:1")
		for _, call := range calls {
			require.Same(t, call, <-call.Done)
			require.NoError(t, call.Error)
			require.NotEqual(t, "b:1", *call.Reply.(*string))
		}
		require.NotZero(t, c.Stats().Retries)
	})
}

func TestGoRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		var mu sync.Mutex
		var sent []rpcx.Sent
		f.dialer.Trace = &rpcx.ClientTrace{CallDone: func(_ context.Context, i rpcx.CallInfo) {
			mu.Lock()
			defer mu.Unlock()
			if i.Err != nil {
				sent = append(sent, callError(t, i.Err).Sent)
			}
		}}
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		var calls []*rpcx.Call
		for id := range 30 {
			calls = append(calls, c.Go("Bank.SlowDeposit", Deposit{ID: id, Amount: 60}, new(int), nil))
		}
		time.Sleep(time.Second)
		f.kill("b:1")
		lost := 0
		for id, call := range calls {
			<-call.Done
			require.Equal(t, 1, f.ledger.count(id))
			if call.Error != nil {
				lost++
			}
		}
		require.NotZero(t, lost)
		require.Equal(t, slices.Repeat([]rpcx.Sent{rpcx.MaybeSent}, lost), sent)
	})
}

func TestGoMovesAwayFromAKilledReplica(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		synctest.Wait()
		f.kill("b:1")
		for range 100 { // not idempotent: what is not sent moves on
			call := <-c.Go("Bank.Where", struct{}{}, new(string), nil).Done
			require.NoError(t, call.Error)
		}
	})
}

func TestGoEndsAtCallTimeout(t *testing.T) {
	t.Parallel()
	for _, choice := range []rpcx.Choice{rpcx.No, rpcx.Yes} {
		inFleet(t, 3, func(t *testing.T, f *fleet) {
			f.dialer.CallTimeout = 700 * time.Millisecond
			f.dialer.Methods = map[string]rpcx.MethodOptions{"*": {Idempotent: choice}}
			c := f.dial()
			defer c.Close()
			start := time.Now()
			call := <-c.Go("Bank.Sleep", time.Minute, new(string), nil).Done
			require.ErrorIs(t, call.Error, context.DeadlineExceeded)
			require.Equal(t, 700*time.Millisecond, time.Since(start))
			require.Equal(t, 1, callError(t, call.Error).Attempts)
			require.Zero(t, c.Stats().Retries, "nothing is paid for a call whose time is up")
			quick := <-c.Go("Bank.Where", struct{}{}, new(string), nil).Done
			require.NoError(t, quick.Error)
		})
	}
}

func TestGoToFrozenServerEndsWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Minute)
		f.Stall("a:1")
		f.Stall("b:1")
		start := time.Now()
		call := <-c.Go("Bank.Where", struct{}{}, new(string), nil).Done
		require.ErrorIs(t, call.Error, rpcx.ErrUnresponsive)
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
	})
}

// net/rpc: Go blocks while another write does.
func TestGoWaitsForNothing(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*fleet){
		"a peer that does not read": func(f *fleet) { f.Stall("a:1") },
		"a dial":                    func(f *fleet) { f.kill("a:1"); f.Blackhole("a:1") },
		"a breaker":                 func(f *fleet) { f.kill("a:1"); time.Sleep(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				c := f.dial()
				defer c.Close()
				before(f)
				start := time.Now()
				var calls []*rpcx.Call
				for range 100 {
					calls = append(calls, c.Go("Bank.Measure", strings.Repeat("x", 64<<10), new(int), nil))
				}
				require.Zero(t, time.Since(start))
				for _, call := range calls {
					<-call.Done
					require.Error(t, call.Error)
				}
			})
		})
	}
}

func TestGoGoesOnWhenThePeerReadsAgain(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		f.Stall("a:1")
		var calls []*rpcx.Call
		for range 100 {
			calls = append(calls, c.Go("Bank.Measure", strings.Repeat("x", 64<<10), new(int), nil))
		}
		time.Sleep(500 * time.Millisecond)
		f.Resume("a:1")
		for _, call := range calls {
			<-call.Done
			require.NoError(t, call.Error)
			require.Equal(t, len(call.Args.(string)), *call.Reply.(*int))
		}
	})
}

func TestGoErrorsAreCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		for _, call := range []*rpcx.Call{
			{ServiceMethod: "Bank.Refuse", Args: "no", Reply: new(struct{})},
			{ServiceMethod: "Bank.None", Args: "no", Reply: new(struct{})},
			{ServiceMethod: "Bank.Echo", Args: "no", Reply: new(int)},
			{ServiceMethod: "Bank.Echo", Args: make(chan int), Reply: new(string)},
		} {
			want := c.Call(call.ServiceMethod, call.Args, call.Reply)
			got := <-c.Go(call.ServiceMethod, call.Args, call.Reply, nil).Done
			require.Error(t, want)
			require.Equal(t, want, got.Error)
		}
		where(t, c, 3)
	})
}

func TestGoAfterClose(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		c.Close()
		done := make(chan *rpcx.Call, 1)
		call := c.Go("Bank.Where", struct{}{}, new(string), done)
		require.Same(t, call, <-done)
		require.Equal(t, rpcx.ErrShutdown, call.Error)
	})
}

func TestGoDropsWhatTheChannelCannotHold(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		done := make(chan *rpcx.Call, 1)
		for range 3 {
			c.Go("Bank.Where", struct{}{}, new(string), done)
		}
		time.Sleep(time.Second)
		require.Len(t, done, 1)
		where(t, c, 3)
	})
}

// Close finds calls wherever they are, and each is delivered once.
func TestCloseEndsAsynchronousCalls(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]func(*fleet){
		"at the server":           func(*fleet) {},
		"in a socket":             func(f *fleet) { f.Stall("a:1") },
		"waiting for a dial":      func(f *fleet) { f.Cut("a:1"); f.Blackhole("a:1"); synctest.Wait() },
		"waiting to be tried":     func(f *fleet) { f.Refuse("a:1"); f.Cut("a:1"); synctest.Wait() },
		"none of which is so now": func(f *fleet) { f.Cut("a:1"); synctest.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				f.dialer.Retry.Budget = -1
				f.dialer.Methods = idempotent("*")
				f.dialer.Breaker = breaker.Config{Disabled: true}
				c := f.dial()
				time.Sleep(100 * time.Millisecond)
				during(f)
				const calls = 50
				done := make(chan *rpcx.Call, 2*calls)
				for range calls {
					c.Go("Bank.Measure", strings.Repeat("x", 64<<10), new(int), done)
				}
				require.NoError(t, c.Close())
				synctest.Wait()
				require.Len(t, done, calls)
				for range calls {
					require.Equal(t, rpcx.ErrShutdown, (<-done).Error)
				}
				f.Resume("a:1")
				time.Sleep(time.Minute)
				require.Empty(t, done)
			})
		})
	}
}

// A stuck codec is a foreign codec whose writes hang.
type stuckCodec struct {
	rpc.ClientCodec
	stuck chan struct{}
	once  sync.Once
}

func (c *stuckCodec) WriteRequest(*rpc.Request, any) error {
	<-c.stuck
	return io.ErrClosedPipe
}

func (c *stuckCodec) Close() error {
	c.once.Do(func() { close(c.stuck) })
	return c.ClientCodec.Close()
}

// The first call hangs in the codec, as in net/rpc; those behind it do not.
func TestGoOverACodecThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := rpcx.NewClientWithCodec(&stuckCodec{ClientCodec: instant.NewCodec(nil), stuck: make(chan struct{})})
		done := make(chan *rpcx.Call, 10)
		go c.Go("Service.Method", 1, new(int), done)
		synctest.Wait()
		c.Go("Service.Method", 2, new(int), done)
		require.NoError(t, c.Close())
		for range 2 {
			require.Equal(t, rpcx.ErrShutdown, (<-done).Error)
		}
		synctest.Wait()
		require.Empty(t, done)
	})
}

// Flaky answers at about the time when everything else happens.
type Flaky struct{}

func (Flaky) Answer(n int, reply *int) error {
	time.Sleep(time.Duration(rand.Int64N(int64(8 * time.Millisecond))))
	*reply = n
	return nil
}

// A call's answer, its deadline, the end of its connection and Close come at about
// the same time, and the caller uses the reply's memory as soon as one of them has
// won: the race detector finds a late write.
func TestAsynchronousCallEndsOnce(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Flaky{}))
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(conn)
			time.AfterFunc(time.Duration(rand.Int64N(int64(40*time.Millisecond))), func() { conn.Close() })
		}
	}()
	ends := make(map[string]int)
	for i := 0; i < 20 || len(ends) < 4 && i < 200; i++ { // on a busy machine few calls are answered in time
		d := rpcx.Dialer{CallTimeout: 8 * time.Millisecond}
		d.Breaker.Disabled = true
		d.Retry.Budget = -1
		if i%2 == 0 {
			d.Methods = idempotent("*")
		}
		client, err := d.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		const calls = 400
		done := make(chan *rpcx.Call, 2*calls)
		issued := make(chan struct{})
		go func() {
			defer close(issued)
			for n := range calls {
				client.Go("Flaky.Answer", n, new(int), done)
				if n%10 == 0 {
					time.Sleep(time.Millisecond / 2)
				}
			}
		}()
		closer := time.AfterFunc(time.Duration(10+rand.Int64N(40))*time.Millisecond, func() { client.Close() })
		seen := make(map[*rpcx.Call]bool)
		for range calls {
			call := <-done
			require.False(t, seen[call], "it was delivered before")
			seen[call] = true
			if call.Error == nil {
				require.Equal(t, call.Args, *call.Reply.(*int))
			}
			*call.Reply.(*int) = -1
			ends[howItEnded(call.Error)]++
		}
		<-issued
		closer.Stop()
		client.Close() //nolint:errcheck // it may be closed
		require.Empty(t, done)
		for call := range seen {
			require.Equal(t, -1, *call.Reply.(*int))
		}
	}
	t.Log(ends)
	require.Len(t, ends, 4, "all four happen")
}

func howItEnded(err error) string {
	switch {
	case err == nil:
		return "answer"
	case errors.Is(err, rpcx.ErrShutdown):
		return "Close"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	}
	return "connection"
}
