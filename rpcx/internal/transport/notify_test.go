package transport

import (
	"context"
	"io"
	"testing"
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
