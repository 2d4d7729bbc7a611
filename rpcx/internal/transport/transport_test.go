package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/wire"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A lone caller needs no other goroutine, with a context that can end or without, and
// none is left when the connection is idle.
func TestLoneCallerReadsItsOwnReply(t *testing.T) {
	for name := range codecs {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			t.Run(name, func(t *testing.T) {
				o, _ := dial(t, name)
				o.lone(t)
				o.Tick(true)
				for n := range 100 {
					x := &Exchange{Method: "Echo.Back", Args: n, Reply: new(int)}
					require.NoError(t, o.Do(ctx, x).Err)
					require.True(t, x.reader)
					require.Equal(t, n, *x.Reply.(*int))
					o.mu.Lock()
					require.Equal(t, byNone, o.reading)
					require.False(t, o.parked)
					o.mu.Unlock()
				}
			})
		}
	}
}

// After calls that were made together, the reader goroutine waits for more, until the
// connection has been idle for a whole tick. Whatever comes meanwhile is served.
func TestIdleReaderEnds(t *testing.T) {
	o, _ := dial(t, "gob")
	for range 20 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				reply, out := back(o, t.Context(), 1)
				if reply != 1 || out.Err != nil {
					t.Error(reply, out)
				}
			})
		}
		wg.Wait()
		o.Tick(false) // it was active
		o.mu.Lock()
		o.alone = 0
		reading := o.reading
		o.mu.Unlock()
		require.Equal(t, byReader, reading)
		require.Eventually(t, func() bool {
			o.Tick(false)
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.reading == byNone && !o.parked
		}, 5*time.Second, time.Millisecond)
	}
	require.Zero(t, o.closed.Load())
}

// A caller with a deadline that reads gets its reply also if its codec cannot tell that it
// is there: of a map, of a type that is new, or of what may be a request of the peer's.
func TestLoneCallerOfAReplyThatCannotBeTold(t *testing.T) {
	for name := range codecs {
		t.Run(name, func(t *testing.T) {
			o, _ := dial(t, name)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var fresh struct{ Method int }
			var table map[string]int
			for range 20 {
				o.lone(t)
				x := &Exchange{Method: "Echo.New", Args: 3, Reply: &fresh}
				require.NoError(t, o.Do(ctx, x).Err)
				require.True(t, x.reader)
				require.Equal(t, 3, fresh.Method)
				o.lone(t)
				x = &Exchange{Method: "Echo.Table", Args: 4, Reply: &table}
				require.NoError(t, o.Do(ctx, x).Err)
				require.True(t, x.reader)
				require.Equal(t, map[string]int{"method": 4}, table)
			}
		})
	}
}

// A caller that reads leaves when its context ends. What comes late is another reader's,
// and the connection stays as it was.
func TestLoneCallerLeaves(t *testing.T) {
	t.Parallel() // it waits
	for name := range codecs {
		t.Run(name, func(t *testing.T) {
			o, _ := dial(t, name)
			for left := 0; left < 4; {
				o.lone(t)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
				x := &Exchange{Method: "Echo.Slow", Args: 200_000, Reply: new(int)}
				out := o.Do(ctx, x)
				cancel()
				if out.Sent == NotSent { // on a busy machine
					continue
				}
				left++
				require.Equal(t, Outcome{Cause: Abandoned, Err: context.DeadlineExceeded, Sent: MaybeSent}, out)
				require.True(t, x.reader)
				require.Nil(t, x.Reply)
			}
			require.Eventually(t, func() bool { return o.late.Load() == 4 }, 5*time.Second, time.Millisecond)
			require.Zero(t, o.closed.Load())
		})
	}
}

// A canceled caller leaves at once.
func TestLoneCallerIsCanceled(t *testing.T) {
	t.Parallel() // it waits
	o, _ := dial(t, "gob")
	o.lone(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	begin := time.Now()
	out := o.Do(ctx, &Exchange{Method: "Echo.Slow", Args: 1_500_000, Reply: new(int)})
	require.ErrorIs(t, out.Err, context.Canceled)
	require.Less(t, time.Since(begin), time.Second)
}

// A connection that its peer has ended while it was idle is found out before a request is
// lost on it.
func TestIdleConnectionThatHasEnded(t *testing.T) {
	o, peer := dial(t, "gob")
	o.lone(t)
	require.True(t, o.Check(time.Now()))
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool { return !o.Check(time.Now()) }, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, o.Cause(), io.ErrUnexpectedEOF)
	require.EqualValues(t, 1, o.retired.Load())
	_, out := back(o, t.Context(), 1)
	require.Equal(t, Outcome{Cause: ConnectionLost, Err: io.ErrUnexpectedEOF}, out)
}

// Bytes to an idle connection are read, and end it if they are none of its replies.
func TestBytesToAnIdleConnection(t *testing.T) {
	o, peer := dial(t, "json")
	o.lone(t)
	_, err := peer.Write([]byte(`{"id":77,"result":1,"error":null}`))
	require.NoError(t, err)
	require.Eventually(t, func() bool { o.Check(time.Now()); return o.Dead() }, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, o.Cause(), ErrStrayReply)
}

// The end of the connection ends the caller that reads.
func TestLoneCallerOnAConnectionThatEnds(t *testing.T) {
	t.Parallel() // it waits
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		o, _ := dial(t, "gob")
		o.lone(t)
		cause := errors.New("convicted")
		wrote := o.wrote.Load()
		go func() {
			for o.wrote.Load() == wrote {
				time.Sleep(time.Millisecond) // real sockets: until the request is written
			}
			time.AfterFunc(5*time.Millisecond, func() { o.Fail(cause) })
		}()
		out := o.Do(ctx, &Exchange{Method: "Echo.Slow", Args: 1_000_000, Reply: new(int)})
		require.Equal(t, Outcome{Cause: ConnectionLost, Err: cause, Sent: MaybeSent}, out)
	}
}

// An exchange is answered or given up, and not both.
func TestExchangeEndsOnce(t *testing.T) {
	for range 200 {
		var exchanges [100]Exchange
		var answers, givenUp atomic.Int64
		var both sync.WaitGroup
		both.Go(func() {
			for i := range exchanges {
				if exchanges[i].answer() {
					answers.Add(1)
				}
			}
		})
		both.Go(func() {
			for i := range exchanges {
				if exchanges[i].state.CompareAndSwap(pending, ended) {
					givenUp.Add(1)
				}
			}
		})
		both.Wait()
		require.EqualValues(t, len(exchanges), answers.Load()+givenUp.Load())
	}
}

// owned counts the ends of an exchange.
type owned struct {
	ends atomic.Int64
	out  chan Outcome
}

func (o *owned) Done(_ *Exchange, out Outcome) {
	o.ends.Add(1)
	o.out <- out
}

// The owner is called once, and not before Release, by whatever the exchange ends.
func TestOwnerIsCalledOnceAfterRelease(t *testing.T) {
	for name, bring := range map[string]func(*observer, *Exchange){
		"reply":      func(*observer, *Exchange) {},
		"given up":   func(o *observer, x *Exchange) { o.GiveUp(x, context.Canceled) },
		"connection": func(o *observer, _ *Exchange) { o.Fail(io.EOF) },
		"all of them": func(o *observer, x *Exchange) {
			go o.GiveUp(x, context.Canceled)
			o.Fail(io.EOF)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				o, _ := dial(t, "gob")
				w := &owned{out: make(chan Outcome, 2)}
				x := &Exchange{Method: "Echo.Back", Args: 1, Reply: new(int), Owner: w}
				require.NoError(t, o.Start(x, time.Now().Add(time.Minute)))
				bring(o, x)
				runtime.Gosched()
				require.Zero(t, w.ends.Load())
				o.Release(x)
				<-w.out
				o.Fail(io.EOF)
				require.EqualValues(t, 1, w.ends.Load())
			}
		})
	}
}

// A request that is given up before it was written does not leave.
func TestWithdrawnRequestIsNotWritten(t *testing.T) {
	o, _ := dial(t, "gob")
	w := &owned{out: make(chan Outcome, 1)}
	x := &Exchange{Method: "Echo.Back", Args: 1, Reply: new(int), Owner: w}
	o.GiveUp(x, context.Canceled)
	require.ErrorIs(t, o.Start(x, time.Time{}), ErrWithdrawn)
	require.Zero(t, o.wrote.Load())
	o.Release(x)
	require.Equal(t, Outcome{Cause: Abandoned, Err: context.Canceled}, <-w.out)
}

// Callers of all kinds, alone and together, that leave and that stay: each gets its own
// reply or its own error, and the connection survives.
func TestCallersOfAllKinds(t *testing.T) {
	for name := range codecs {
		for _, given := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/given=%v", name, given), func(t *testing.T) {
				o, _ := dialAs(t, name, given)
				var wg sync.WaitGroup
				for caller := range 4 {
					random := rand.New(rand.NewPCG(uint64(caller), 1))
					wg.Go(func() {
						for i := range 300 {
							o.oneOfAKind(t, random, caller<<20+i)
						}
					})
				}
				wg.Wait()
				require.Zero(t, o.closed.Load())
				require.Eventually(t, func() bool { return o.received.Load() == o.wrote.Load() }, 10*time.Second, time.Millisecond)
				require.Zero(t, o.Load())
			})
		}
	}
}

func (o *observer) oneOfAKind(t *testing.T, random *rand.Rand, n int) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	method := "Echo.Back"
	switch random.IntN(8) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(300))*time.Microsecond)
	case 1:
		method, n = "Echo.Slow", random.IntN(500)
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(500))*time.Microsecond)
	case 2:
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
	case 3:
		time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond) // real sockets: a gap between calls
	case 4:
		w := &owned{out: make(chan Outcome, 1)}
		reply := -1
		x := &Exchange{Method: method, Args: n, Reply: &reply, Owner: w}
		if o.Start(x, time.Now().Add(time.Minute)) == nil {
			o.Release(x)
			if out := <-w.out; out.Err != nil || reply != n {
				t.Error(out, reply)
			}
		}
		return
	}
	defer cancel()
	reply := -1
	out := o.Do(ctx, &Exchange{Method: method, Args: n, Reply: &reply})
	switch {
	case out.Cause == Replied && reply == n:
	case out.Cause == Abandoned && errors.Is(out.Err, context.DeadlineExceeded) && ctx.Err() != nil:
	default:
		t.Errorf("call %d: reply %d, %+v", n, reply, out)
	}
}

// A closed connection takes nothing, and says so without a doubt.
func TestClosedConnectionTakesNothing(t *testing.T) {
	o, _ := dial(t, "gob")
	o.Retire()
	require.True(t, o.Dead(), "it was idle")
	x := &Exchange{Method: "Echo.Back", Args: 1, Reply: new(int)}
	out := o.Do(t.Context(), x)
	require.ErrorIs(t, out.Err, wire.ErrClosed)
	require.Equal(t, NotSent, out.Sent)
	require.False(t, o.Check(time.Now()))
}

// A caller that leaves as its answer comes has the answer.
func TestAnsweredExchangeIsNotGivenUp(t *testing.T) {
	o, _ := dial(t, "gob")
	x := &Exchange{Reply: new(int), done: make(chan struct{}, 1)}
	require.True(t, x.answer())
	x.outcome = Outcome{At: time.Now()}
	x.done <- struct{}{}
	want := x.outcome
	o.Abandon(x, context.Canceled)
	require.Equal(t, want, x.outcome)
	require.NotNil(t, x.Reply)
	o.GiveUp(x, context.Canceled)
	require.Equal(t, want, x.outcome)
}
