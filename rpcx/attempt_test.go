package rpcx

import (
	"context"
	"io"
	"net/rpc"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// counting is a codec that counts the requests it is given.
type counting struct {
	rpc.ClientCodec
	requests int
}

func (c *counting) WriteRequest(*rpc.Request, any) error {
	c.requests++
	return nil
}

func TestWithdrawnAttemptIsNotWritten(t *testing.T) {
	codec, c := new(counting), &conn{ep: new(endpoint)}
	c.codec = newTap(codec, c)
	a := new(attempt)
	require.Equal(t, result{err: context.Canceled}, c.give(a, context.Canceled), "not sent")
	require.ErrorIs(t, c.codec.WriteRequest(new(rpc.Request), a), errWithdrawn)
	require.Zero(t, codec.requests)

	a = new(attempt)
	require.NoError(t, c.codec.WriteRequest(new(rpc.Request), a))
	require.Equal(t, 1, codec.requests)
	require.Equal(t, result{err: context.Canceled, sent: MaybeSent}, c.give(a, context.Canceled))
}

func answer(a *attempt) bool { return a.take(time.Time{}) }
func giveUp(a *attempt) bool { return a.finish(abandoned) }

// Who comes second leaves an attempt alone.
func TestAttemptEndsOnce(t *testing.T) {
	for _, ends := range []struct{ first, second func(*attempt) bool }{
		{answer, giveUp},
		{giveUp, answer},
		{giveUp, giveUp},
	} {
		a := new(attempt)
		a.state.Store(written)
		require.True(t, ends.first(a))
		state := a.state.Load()
		require.False(t, ends.second(a))
		require.Equal(t, state, a.state.Load())
	}
}

// Of a connection that is over, and of a request of which no byte has left.
func TestWhatIsKnownOfAnAttempt(t *testing.T) {
	over := &conn{wire: wire.New(nil, wire.Config{}), done: make(chan struct{}), cause: wire.ErrClosed}
	over.ep, over.codec = new(endpoint), newTap(new(counting), over)
	over.retired.Store(true) // which asks nothing of an endpoint
	close(over.done)
	foreign := new(conn)
	foreign.retired.Store(true)
	for name, k := range map[string]struct {
		conn  *conn
		state uint32
		end   error // of the attempt alone
		err   error // of net/rpc
		want  Sent
	}{
		"it never left":             {conn: over, state: written, err: io.EOF, want: NotSent},
		"it may have left":          {conn: foreign, state: written, err: io.EOF, want: MaybeSent},
		"the codec has not seen it": {conn: foreign, state: queued, err: rpc.ErrShutdown, want: NotSent},
		"the reply was cut short":   {conn: foreign, state: decoding, err: io.ErrUnexpectedEOF, want: Executed},
		"the method said no":        {conn: foreign, state: decoding, end: rpc.ServerError("no"), want: Executed},
		"the server was draining":   {conn: foreign, state: decoding, end: protocol.ErrDraining, want: NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			a := &attempt{err: k.end}
			a.state.Store(k.state)
			res := k.conn.settle(a, k.err)
			require.Error(t, res.err)
			require.Equal(t, k.want, res.sent)
		})
	}
}

// A retired connection lets those in flight have their answers.
func TestConnInUseIsNotIdle(t *testing.T) {
	c := &conn{done: make(chan struct{})}
	require.True(t, c.enter())
	c.closeIdle()
	require.False(t, c.dead())
	require.True(t, c.enter())
}

// inPairs has first and second act on the same attempt at the same moment, in two
// goroutines which meet before every one, and on the next. It returns how many there
// were: fewer on a busy machine, where to meet takes long.
func inPairs(state uint32, first, second func(*attempt)) (all int) {
	const most, batch = 20_000, 100
	for begin := time.Now(); all < most && time.Since(begin) < time.Second/2; all += batch {
		attempts := make([]attempt, batch)
		for i := range attempts {
			attempts[i].state.Store(state)
		}
		var reached [2]atomic.Int64
		var wg sync.WaitGroup
		for side, act := range []func(*attempt){first, second} {
			wg.Go(func() {
				for i := range attempts {
					reached[side].Store(int64(i + 1))
					for spins := 1; reached[1-side].Load() <= int64(i); spins++ {
						if spins%1000 == 0 {
							runtime.Gosched() // the other may have no processor
						}
					}
					act(&attempts[i])
				}
			})
		}
		wg.Wait()
	}
	return all
}

// What is withdrawn as unseen must not leave: it would be sent again.
func TestNothingIsWrittenAndUnseen(t *testing.T) {
	codec, c := new(counting), &conn{ep: new(endpoint)}
	c.codec = newTap(codec, c)
	withdrawn := 0
	all := inPairs(queued, func(a *attempt) {
		c.codec.WriteRequest(new(rpc.Request), a) //nolint:errcheck // the codec counts
	}, func(a *attempt) {
		if giveUp(a) && a.unseen {
			withdrawn++
		}
	})
	require.Equal(t, all, codec.requests+withdrawn)
}

// The caller's reply belongs to the reader, or to the caller who has left.
func TestAnAttemptIsAnsweredOrGivenUp(t *testing.T) {
	taken, given := 0, 0
	all := inPairs(written, func(a *attempt) {
		if answer(a) {
			taken++
		}
	}, func(a *attempt) {
		if giveUp(a) {
			given++
		}
	})
	require.Equal(t, all, taken+given)
}
