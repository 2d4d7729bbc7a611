package transport

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/subtest"
)

// An alarm wakes a caller that reads its own reply. The exchange goes on, and so does the
// connection.
func TestAlarmWakesALoneCaller(t *testing.T) {
	t.Parallel() // it waits
	var all subtest.Group
	defer all.Wait()
	for name := range codecs {
		for _, early := range []bool{false, true} {
			for _, leaves := range []bool{false, true} {
				all.Run(t, fmt.Sprintf("%s early %t, with a context %t", name, early, leaves), func(t *testing.T) {
					o, _ := dial(t, name)
					ctx := context.Background()
					if leaves {
						withCancel, cancel := context.WithCancel(ctx)
						defer cancel()
						ctx = withCancel
					}
					const slow = 400_000 // µs; the alarm is long before the reply
					for n := range 4 {
						o.lone(t)
						alarm := make(chan struct{})
						ring := func() {
							close(alarm)
							o.Disturb()
						}
						reply := -1
						x := &Exchange{Method: "Echo.Slow", Args: slow + n, Reply: &reply}
						if early {
							ring()
						} else {
							time.AfterFunc(10*time.Millisecond, ring)
						}
						began := time.Now()
						_, alarmed := o.Watch(ctx, x, alarm)
						require.True(t, alarmed)
						require.Less(t, time.Since(began), slow*time.Microsecond)
						<-x.Ended()
						require.NoError(t, x.Outcome().Err)
						require.Equal(t, slow+n, reply)
					}
					n, out := back(o, ctx, 7)
					require.NoError(t, out.Err)
					require.Equal(t, 7, n)
				})
			}
		}
	}
}

// An alarm that comes with the reply, or behind it, harms nothing.
func TestAlarmBesideTheReply(t *testing.T) {
	o, _ := dial(t, "gob")
	for n := range 2000 {
		if n%100 == 0 {
			o.lone(t)
		}
		alarm := make(chan struct{})
		var rung sync.WaitGroup
		rung.Go(func() {
			for range n % 50 {
				runtime.Gosched()
			}
			close(alarm)
			o.Disturb()
		})
		reply := -1
		x := &Exchange{Method: "Echo.Back", Args: n, Reply: &reply}
		out, alarmed := o.Watch(context.Background(), x, alarm)
		if alarmed {
			<-x.Ended()
			out = x.Outcome()
		}
		require.NoError(t, out.Err)
		require.Equal(t, n, reply)
		rung.Wait()
	}
}

// An alarm that comes while its caller is not at reading leaves the connection readable.
func TestAlarmBetweenReads(t *testing.T) {
	o, _ := dial(t, "gob")
	o.lone(t)
	o.mayLeave(&Exchange{alarm: make(chan struct{})})
	o.Disturb()
	o.mayLeave(nil)
	n, out := back(o, context.Background(), 3)
	require.NoError(t, out.Err)
	require.Equal(t, 3, n)
}
