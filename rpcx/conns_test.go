package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/detector"
	"resilientrpc/rpcx"
)

// aliases makes the nth connection to "a:1" one to "a1:1", "a2:1" and so on, which
// are the same server and can fail one by one.
//
// The first connection beside them asks how pings are taken; it goes to "scout:1".
func (f *fleet) aliases(n int) {
	for i := 1; i <= n; i++ {
		f.start(fmt.Sprintf("a%d:1", i))
	}
	f.start("scout:1")
	var dials atomic.Int64
	f.dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		n, lanes := int(dials.Add(1)), max(1, f.dialer.Conns)
		switch {
		case n == lanes+1:
			return f.DialContext(ctx, network, "scout:1")
		case n > lanes:
			n--
		}
		return f.DialContext(ctx, network, fmt.Sprintf("a%d:1", n))
	}
}

func TestConnsShareTheCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(3)
		f.dialer.Conns = 3
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		for range 30 {
			c.Go("Bank.Sleep", time.Second, new(string), nil)
		}
		time.Sleep(100 * time.Millisecond)
		for i := 1; i <= 3; i++ {
			require.Equal(t, 1, f.Dials(fmt.Sprintf("a%d:1", i)))
		}
		require.Equal(t, 30, c.Stats().Endpoints[0].InFlight)
	})
}

// The connections are made without being asked for, and lost ones are replaced.
func TestConnsAreKeptUp(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Conns = 3
		c := f.dial()
		defer c.Close()
		time.Sleep(3 * time.Second)
		require.Equal(t, 3, f.Open("a:1"))
		f.Cut("a:1")
		time.Sleep(2 * time.Second) // a connection that never gave an answer is replaced in the next slot
		require.Equal(t, 3, f.Open("a:1"))
		require.Equal(t, 7, f.Dials("a:1"), "3 twice, and one to ask how pings are taken")
		where(t, c, 10)
		require.NoError(t, c.Close())
		time.Sleep(time.Second)
		require.Zero(t, f.Open("a:1"))
	})
}

// The endpoint's other connections prove that the peer lives, but not that this
// one does.
func TestOneSilentConnectionOfSeveralIsEnded(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(10)
		f.dialer.Conns = 2
		var closed []rpcx.ConnInfo
		f.dialer.Trace = &rpcx.ClientTrace{ConnClosed: func(i rpcx.ConnInfo) { closed = append(closed, i) }}
		c := f.dial()
		defer c.Close()
		time.Sleep(10300 * time.Millisecond) // no ping is in flight, which counts as a load
		var calls []*rpcx.Call
		for range 2 { // one on each
			calls = append(calls, c.Go("Bank.Sleep", 20*time.Second, new(string), nil))
		}
		f.Stall("a1:1")
		begin := time.Now()
		failed := 0
		for _, call := range calls {
			if <-call.Done; call.Error != nil {
				require.ErrorIs(t, call.Error, rpcx.ErrUnresponsive)
				require.Contains(t, call.Error.Error(), "at a:1: the connection does not respond")
				failed++
			}
		}
		require.Equal(t, 1, failed)
		require.Len(t, closed, 1)
		require.Less(t, time.Since(begin), 25*time.Second)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
		require.Equal(t, 1, f.Dials("a3:1"), "it was replaced")
		where(t, c, 10)
	})
}

// A retired connection takes no calls, and still must not let one hang.
func TestRetiredConnectionIsWatched(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(10)
		c := f.dial()
		defer c.Close()
		slow := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		time.Sleep(time.Second)
		// What failed inside an interface leaves gob's encoder in doubt.
		require.Error(t, c.Call("Bank.Where", struct{ X any }{make(chan int)}, new(string)))
		where(t, c, 10)
		require.Equal(t, 1, f.Dials("a2:1"), "the first connection is retired")
		time.Sleep(time.Minute)
		require.Empty(t, slow.Done, "it is watched, and alive")
		for i := 1; i <= 2; i++ {
			f.Stall(fmt.Sprintf("a%d:1", i)) // the process, that is
		}
		begin := time.Now()
		<-slow.Done
		require.ErrorIs(t, slow.Error, rpcx.ErrUnresponsive)
		require.LessOrEqual(t, time.Since(begin), 5*time.Second)
	})
}

func TestFrozenReplicaBesideADeadOneIsConvicted(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		f.kill("a:1")
		time.Sleep(time.Second)
		f.Stall("b:1")
		time.Sleep(5 * time.Second)
		require.NotEqual(t, breaker.Closed, c.Stats().Endpoints[1].State)
		f.Resume("b:1")
		time.Sleep(8 * time.Second)
		require.NotZero(t, where(t, c, 200)["b:1"])
	})
}

func TestDetectWithin(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.DetectionTime = 400 * time.Millisecond
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Minute)
		f.Stall("a:1")
		f.Stall("b:1")
		begin := time.Now()
		err := c.Call("Bank.Where", struct{}{}, new(string))
		require.ErrorIs(t, err, rpcx.ErrUnresponsive)
		require.LessOrEqual(t, time.Since(begin), 400*time.Millisecond)

		f.dialer.Heartbeat = time.Second
		_, err = f.dialer.Dial("tcp", f.addrs...)
		require.ErrorContains(t, err, "Dialer.DetectionTime is set beside Heartbeat")
		_, err = (&rpcx.Dialer{DetectionTime: time.Millisecond}).Dial("tcp", "a:1")
		require.ErrorContains(t, err, "Dialer.DetectionTime is 1ms; want from 40ms")
	})
}

// Huang and others, HotOS 2017: it answers pings, and fails its callers.
func TestGrayFailureIsReported(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		var seen []detector.Comparison
		f.dialer.Trace = &rpcx.ClientTrace{ViewsDiffer: func(i rpcx.ViewsInfo) { seen = append(seen, i.Comparison) }}
		c := f.dial()
		defer c.Close()
		for range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			err := c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		require.Equal(t, []detector.Comparison{detector.GrayFailure}, seen)
		for range 30 {
			where(t, c, 10)
			time.Sleep(time.Second)
		}
		require.Equal(t, []detector.Comparison{detector.GrayFailure, detector.Agree}, seen)
	})
}

// All at once: the fault is ours, and no endpoint is convicted.
func TestIsolationConvictsNobody(t *testing.T) {
	t.Parallel()
	inFleet(t, 5, func(t *testing.T, f *fleet) {
		var mu sync.Mutex // protects following
		verdicts := make(map[rpcx.Verdict]int)
		var fault detector.Fault
		f.dialer.Trace = &rpcx.ClientTrace{Suspicion: func(i rpcx.SuspicionInfo) {
			mu.Lock()
			defer mu.Unlock()
			verdicts[i.Verdict]++
			if i.Verdict == rpcx.Spared {
				fault = i.Fault
			}
		}}
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		for _, a := range f.addrs {
			f.Stall(a)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		require.Zero(t, verdicts[rpcx.Convicted])
		require.NotZero(t, verdicts[rpcx.Spared])
		require.Equal(t, detector.Isolated, fault)
		for _, a := range f.addrs {
			f.Resume(a)
		}
		time.Sleep(5 * time.Second)
		require.Len(t, where(t, c, 200), 5)
	})
}

func TestFrameLimitOfAReply(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Codec = codec.Gob{MaxFrame: 1 << 10}.NewClient
		c := f.dial()
		defer c.Close()
		_, err := rpcx.Invoke[string](t.Context(), c, "Bank.Echo", "x")
		require.NoError(t, err)
		_, err = rpcx.Invoke[string](t.Context(), c, "Bank.Fill", 2<<10)
		var frame *codec.FrameError
		require.ErrorAs(t, err, &frame)
		require.False(t, errors.Is(err, rpcx.ErrUnresponsive))
	})
}

// With no breaker there is nothing to let an endpoint back in, so that a conviction
// must not take it out.
func TestConvictionWithoutABreaker(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Detector.Threshold = 1
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second)
		f.Stall("a:1")
		time.Sleep(10 * time.Second)
		f.Resume("a:1")
		time.Sleep(time.Minute)
		require.NotZero(t, where(t, c, 100)["a:1"])
	})
}
