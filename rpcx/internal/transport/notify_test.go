package transport

import (
	"context"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// A notification leaves nothing to wait for, and the answer that some servers give it is no
// reply: callers that read their own get these, and leave when their time is up.
func TestNotificationsBesideLoneCallers(t *testing.T) {
	t.Parallel() // it waits
	o, _ := dial(t, "json")
	for range 20 {
		o.lone(t)
		out := o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: 1})
		require.Equal(t, Outcome{Cause: Notified, Sent: MaybeSent}, out)
		require.Zero(t, o.Load())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		reply, got := back(o, ctx, 7)
		cancel()
		require.NoError(t, got.Err)
		require.Equal(t, 7, reply)
	}
	begin := time.Now()
	require.Equal(t, Notified, o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: 1}).Cause)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	out := o.Do(ctx, &Exchange{Method: "Echo.Slow", Args: 1_500_000, Reply: new(int)})
	require.ErrorIs(t, out.Err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), time.Second)
}

// What cannot be a notification is not sent and costs the connection nothing.
func TestNotificationsThatAreRefused(t *testing.T) {
	o, _ := dial(t, "gob")
	require.Equal(t, Outcome{Cause: ArgsUnencodable, Err: ErrNoNotifications}, o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: 1}))
	o, _ = dial(t, "json")
	out := o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: make(chan int)})
	require.Equal(t, ArgsUnencodable, out.Cause)
	require.ErrorAs(t, out.Err, new(*codec.EncodeError))
	reply, out := back(o, t.Context(), 3)
	require.NoError(t, out.Err)
	require.Equal(t, 3, reply)
	o.Retire()
	out = o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: 1})
	require.Equal(t, Outcome{Cause: ConnectionLost, Err: wire.ErrClosed}, out)
	o.Fail(io.EOF)
}

// stuckNotifier is a codec whose notifications wait for the peer.
type stuckNotifier struct {
	rpc.ClientCodec
	wait, began chan struct{}
}

func (s *stuckNotifier) Notify(string, any) error {
	s.began <- struct{}{}
	<-s.wait
	return nil
}

// A caller whose codec waits while it writes a notification leaves when its context ends, or
// the connection does, as that of a call.
func TestNotificationThatACodecDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := &stuckNotifier{stdjson.NewClientCodec(near), make(chan struct{}), make(chan struct{}, 1)}
		o := new(observer)
		o.OpenCodec(s, Config{Observer: o})
		notify := func(after time.Duration) Outcome {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			return o.Notify(ctx, &Exchange{Method: "A.B", Args: 1})
		}
		begun := time.Now()
		require.Equal(t, Outcome{Cause: Abandoned, Err: context.DeadlineExceeded, Sent: MaybeSent}, notify(time.Minute))
		require.Equal(t, time.Minute+wire.LeaveWithin, time.Since(begun))
		<-s.began
		require.Equal(t, Outcome{Cause: Abandoned, Err: context.DeadlineExceeded}, notify(time.Minute), "the codec is taken")
		s.wait <- struct{}{}
		synctest.Wait()
		ended := make(chan Outcome, 1)
		go func() { ended <- notify(time.Hour) }()
		<-s.began
		o.Fail(io.EOF)
		require.Equal(t, Outcome{Cause: ConnectionLost, Err: io.EOF, Sent: MaybeSent}, <-ended)
		close(s.wait)
		<-o.CloseDone()
	})
}
