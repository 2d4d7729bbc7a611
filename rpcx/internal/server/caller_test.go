package server

import (
	"context"
	"net"
	"net/rpc"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/peerclock"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/simnet"
)

// Ask is what a method of Asking does: wait for so long, and then for the end of its context, for
// at most so long.
type Ask struct{ Before, Within time.Duration }

// Asking is a service whose methods ask for their contexts.
type Asking struct {
	ran    atomic.Int64
	causes chan error // why the contexts have ended, nil for those that have not
	last   atomic.Value
}

func newAsking() *Asking { return &Asking{causes: make(chan error, 100)} }

// Do implements a method.
func (a *Asking) Do(args *Ask, reply *int) error {
	a.ran.Add(1)
	time.Sleep(args.Before)
	ctx := ContextOf(args)
	a.last.Store(&ctx)
	select {
	case <-ctx.Done():
		a.causes <- context.Cause(ctx)
	case <-time.After(args.Within):
		a.causes <- nil
	}
	return nil
}

// Left implements a method. It replies with the time left, 0 for any.
func (a *Asking) Left(args *int, reply *time.Duration) error {
	ctx := ContextOf(args)
	a.last.Store(&ctx)
	if deadline, ok := ctx.Deadline(); ok {
		*reply = time.Until(deadline)
	}
	return nil
}

// ByValue implements a method, whose argument does not tell which request it is.
func (a *Asking) ByValue(args int, reply *bool) error {
	*reply = ContextOf(args) == context.Background() && ContextOf(&args) == context.Background()
	return nil
}

// Nothing implements a method, whose argument does not, either.
func (a *Asking) Nothing(args *struct{}, reply *bool) error {
	*reply = ContextOf(args) == context.Background()
	return nil
}

// Whose implements a method: it replies with what its request says of the trace.
func (a *Asking) Whose(args *byte, reply *byte) error {
	runtime.Gosched()
	if in := callmeta.FromContext(ContextOf(args)); in != nil {
		*reply = in.Trace.TraceID[0]
	}
	return nil
}

// peer is a client that sends metadata.
type peer struct {
	codec.MetaClient
	seq   uint64
	began time.Time // the time of the connection, as the client counts it
	clock peerclock.Clock
	wrote map[uint64]time.Time
}

func newPeer(c rpc.ClientCodec) *peer {
	p := &peer{MetaClient: c.(codec.MetaClient), began: time.Now(), wrote: make(map[uint64]time.Time)}
	p.UseMeta()
	return p
}

// in is the deadline so much later, as the client counts the time.
func (p *peer) in(d time.Duration) codec.RequestMeta {
	return codec.RequestMeta{Deadline: time.Since(p.began) + d}
}

// by is the deadline so much later, as the client knows the server's time.
func (p *peer) by(d time.Duration) codec.RequestMeta {
	return codec.RequestMeta{Deadline: p.clock.Deadline(time.Now().Add(d))}
}

// start sends a request.
func (p *peer) start(t testing.TB, method string, m codec.RequestMeta, args any) uint64 {
	t.Helper()
	p.seq++
	p.wrote[p.seq] = time.Now()
	p.clock.Begin(p.wrote[p.seq])
	require.NoError(t, p.WriteRequestMeta(&rpc.Request{ServiceMethod: method, Seq: p.seq}, &m, args))
	return p.seq
}

// next reads a reply.
func (p *peer) next(t testing.TB, reply any) rpc.Response {
	t.Helper()
	var r rpc.Response
	require.NoError(t, p.ReadResponseHeader(&r))
	p.clock.Observe(p.wrote[r.Seq], p.ResponseMeta().Clock)
	if r.Error != "" {
		reply = nil
	}
	require.NoError(t, p.ReadResponseBody(reply))
	return r
}

// ping learns what the server understands, as a Client does.
func (p *peer) ping(t testing.TB) protocol.Health {
	t.Helper()
	var said protocol.Health
	p.start(t, codec.PingMethod, codec.RequestMeta{}, struct{}{})
	require.Empty(t, p.next(t, &said).Error)
	p.SetMetaSupport(said.Meta)
	return said
}

// refused reports whether a reply is the proof that a request was not run.
func (p *peer) refused(r rpc.Response) bool {
	if c, ok := p.MetaClient.(codec.RefusalReader); ok {
		return c.Refused()
	}
	return r.ServiceMethod == protocol.RefusedMethod
}

// asked runs f with a server of Asking, and a client that has pinged it, in each format.
func asked(t *testing.T, f func(t *testing.T, a *Asking, p *peer, counters *Counters, stop func() error)) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				a := newAsking()
				cfg := config(t, a)
				cfg.NewCodec, cfg.Counters, cfg.StopTimeout = c.server, new(Counters), 3*time.Second
				stop := serve(network.Listen("s:1"), cfg)
				p := newPeer(c.client(dial(t, network)))
				require.True(t, p.ping(t).Meta)
				require.Equal(t, codec.MetaUnderstood, p.MetaSupport())
				f(t, a, p, cfg.Counters, stop)
			})
		})
	}
}

func TestLateRequestIsRefused(t *testing.T) {
	asked(t, func(t *testing.T, a *Asking, p *peer, counters *Counters, stop func() error) {
		m := p.in(time.Second)
		time.Sleep(2 * time.Second) // it arrives so late
		p.start(t, "Asking.Do", m, Ask{})
		r := p.next(t, new(int))
		require.Equal(t, protocol.ErrLate.Error(), r.Error)
		require.True(t, p.refused(r))
		require.Equal(t, protocol.ErrLate, protocol.RefusalOf(r.Error))
		require.Zero(t, a.ran.Load())
		require.EqualValues(t, 1, counters.Late.Load())

		require.NotZero(t, p.ping(t).Running, "the connection lives")
		p.start(t, "Asking.Left", p.in(time.Second), 1)
		var left time.Duration
		require.Empty(t, p.next(t, &left).Error)
		require.Equal(t, time.Second, left)
		p.start(t, "Asking.Left", codec.RequestMeta{}, 1)
		require.Empty(t, p.next(t, &left).Error)
		require.Zero(t, left)
		require.EqualValues(t, 1, counters.Late.Load())
		require.NoError(t, p.Close())
		require.NoError(t, stop())
	})
}

// A client that was given its connection does not know for how long there has been one.
func TestTimeOfAConnectionBeginsWithItsFirstRequest(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *simnet.Network) {
				cfg := config(t, newAsking())
				cfg.NewCodec = c.server
				stop := serve(network.Listen("s:1"), cfg)
				conn := dial(t, network)
				time.Sleep(time.Minute)
				p := newPeer(c.client(conn))
				p.ping(t)
				time.Sleep(time.Minute)
				p.start(t, "Asking.Left", p.in(time.Second), 1)
				var left time.Duration
				require.Empty(t, p.next(t, &left).Error)
				require.Equal(t, time.Second, left)
				require.NoError(t, p.Close())
				require.NoError(t, stop())
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(t *testing.T, p *peer, seq uint64, stop func() error)
		cause error
		count int64
	}{
		"at the deadline": {func(*testing.T, *peer, uint64, func() error) {}, context.DeadlineExceeded, 0},
		"when the caller cancels": {func(t *testing.T, p *peer, seq uint64, _ func() error) {
			require.NoError(t, p.WriteCancel(seq+100))
			require.NoError(t, p.WriteCancel(seq))
			require.NoError(t, p.WriteCancel(seq))
		}, errCanceled, 1},
		"with the connection": {func(t *testing.T, p *peer, _ uint64, _ func() error) { require.NoError(t, p.Close()) }, errLost, 1},
		"at StopTimeout": {func(t *testing.T, _ *peer, _ uint64, stop func() error) {
			require.ErrorContains(t, stop(), "still ran")
		}, errStopped, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []time.Duration{0, 4 * time.Second} { // until it asks
				asked(t, func(t *testing.T, a *Asking, p *peer, counters *Counters, stop func() error) {
					seq := p.start(t, "Asking.Do", p.in(10*time.Second), Ask{Before: before, Within: time.Hour})
					synctest.Wait()
					c.end(t, p, seq, stop)
					require.Equal(t, c.cause, <-a.causes)
					require.Equal(t, c.count, counters.Canceled.Load())
					if p.Close(); c.cause != errStopped { //nolint:errcheck,errorlint // it may be closed
						require.NoError(t, stop())
					}
				})
			}
		})
	}
}

func TestContextOutlivesNoMethod(t *testing.T) {
	asked(t, func(t *testing.T, a *Asking, p *peer, counters *Counters, stop func() error) {
		seq := p.start(t, "Asking.Do", codec.RequestMeta{Retry: true}, Ask{Within: time.Second})
		p.next(t, new(int))
		require.NoError(t, <-a.causes, "it had no reason to end")
		ctx := *a.last.Load().(*context.Context)
		require.Equal(t, errReturned, context.Cause(ctx))
		require.True(t, callmeta.FromContext(ctx).Retry)
		require.NoError(t, p.WriteCancel(seq))
		p.ping(t)
		require.Zero(t, counters.Canceled.Load(), "it has ended")
		require.Empty(t, held(), "nothing is retained")
		for _, method := range []string{"Asking.ByValue", "Asking.Nothing"} {
			var args any = struct{}{}
			if method == "Asking.ByValue" {
				args = 5
			}
			var background bool
			p.start(t, method, p.in(time.Second), args)
			require.Empty(t, p.next(t, &background).Error)
			require.True(t, background, method)
		}
		require.NoError(t, p.Close())
		require.NoError(t, stop())
	})
}

// held are the callers in the table.
func held() (all []*caller) {
	for i := range running.slots {
		if c := running.slots[i].Load(); c != nil {
			all = append(all, c)
		}
	}
	running.more.Range(func(_, c any) bool {
		all = append(all, c.(*caller))
		return true
	})
	return all
}

func TestContextOfWhatIsNoArgument(t *testing.T) {
	for _, args := range []any{nil, 1, new(int), (*int)(nil), "text", struct{}{}, new(struct{})} {
		require.Equal(t, context.Background(), ContextOf(args))
	}
}

// A request can be canceled that no argument tells from others.
func TestCancelOfARequestWithoutArguments(t *testing.T) {
	near := &conn{serving: &serving{counters: new(Counters)}, stream: new(stream)}
	one, other := newRequest(near).caller, newRequest(near).caller
	one.seq, other.seq = 1, 2
	one.begin(new(struct{}))
	other.begin(new(struct{}))
	near.cancel(2)
	require.NoError(t, one.cause)
	require.Equal(t, errCanceled, other.cause)
	one.end()
	other.end()
	require.Empty(t, held())
}

// Under load each method gets the context of its own request.
func TestContextIsOnesOwn(t *testing.T) {
	const conns, requests = 4, 200
	leak.Check(t)
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			lis, cfg := listen(t), config(t, newAsking())
			cfg.NewCodec = c.server
			stop := serve(lis, cfg)
			var wg sync.WaitGroup
			for range conns {
				wg.Go(func() {
					conn, err := net.Dial("tcp", lis.Addr().String())
					if err != nil {
						t.Error(err)
						return
					}
					p := newPeer(c.client(conn))
					p.ping(t)
					go func() {
						for i := range requests {
							m := codec.RequestMeta{Trace: codec.Trace{TraceID: [16]byte{byte(i), 1}, SpanID: [8]byte{1}}}
							if i%3 == 0 {
								m = codec.RequestMeta{}
							}
							q := rpc.Request{ServiceMethod: "Asking.Whose", Seq: uint64(i)}
							if p.WriteRequestMeta(&q, &m, byte(i)) != nil || i%7 == 0 && p.WriteCancel(uint64(i)) != nil {
								t.Error("request")
							}
						}
					}()
					for range requests {
						var reply byte
						r := p.next(t, &reply)
						if want := byte(r.Seq); r.Seq%3 != 0 && reply != want || r.Seq%3 == 0 && reply != 0 {
							t.Errorf("request %d has the context of %d", want, reply)
						}
					}
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.NoError(t, stop())
			require.Empty(t, held())
		})
	}
}
