package rpcx_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// With pings off, too, what comes is connected before a call needs it.
func TestArrivalWithoutPings(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Heartbeat = -1
		c, sets := f.resolve("a:1")
		defer c.Close()
		sets.say("a:1", "b:1", "nobody:1")
		where(t, c, 100)
		time.Sleep(1100 * time.Millisecond)
		require.Equal(t, 1, f.Open("b:1"))
		require.NotZero(t, f.Dials("nobody:1"))
		time.Sleep(5 * time.Second) // what the calls passed over is tried once more
		dials := f.Dials("nobody:1")
		require.LessOrEqual(t, dials, 2)
		time.Sleep(10 * time.Second)
		require.Equal(t, dials, f.Dials("nobody:1"), "there are no calls for it")
		require.InDelta(t, 50, where(t, c, 100)["b:1"], 20)
		sets.say("c:1")
		require.Equal(t, map[string]int{"c:1": 100}, where(t, c, 100))
		require.Equal(t, 1, c.Live())
	})
}

// No call waits for the connection to an endpoint that has come, while there are
// others.
func TestArrivalDelaysNoCall(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.Delay("b:1", 500*time.Millisecond)
		c, sets := f.resolve("a:1")
		defer c.Close()
		where(t, c, 10)
		sets.say("a:1", "b:1")
		for range 500 {
			begin := time.Now()
			where(t, c, 1)
			require.Less(t, time.Since(begin), 10*time.Millisecond)
		}
	})
}

// What all clients learn at once, they must not act on at once: that an endpoint has
// come, that its connections are lost, that its process is gone and is back.
func TestReturnIsNoStorm(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event func(*fleet, []feed)
		at    string // the address that is dialed
		most  int    // dials of 100 in a twentieth of a second
	}{
		"arrival": {func(_ *fleet, feeds []feed) {
			for _, sets := range feeds {
				sets <- said{set: setOf("a:1", "b:1")}
			}
		}, "b:1", 30}, // 200 dials of two kinds, spread over a second: 10 are usual
		"loss": {func(f *fleet, _ []feed) { f.Cut("a:1") }, "a:1", 45},
		"restart": {func(f *fleet, _ []feed) {
			f.kill("a:1")
			time.Sleep(400 * time.Millisecond)
			f.Resume("a:1")
		}, "a:1", 55}, // 30 are usual
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				const clients = 100
				var feeds []feed
				for range clients {
					c, sets := f.resolve("a:1")
					defer c.Close()
					where(t, c, 1) // a connection that has proved itself
					feeds = append(feeds, sets)
				}
				tt.event(f, feeds)
				most, before := 0, f.Dials(tt.at)
				for range 40 {
					time.Sleep(50 * time.Millisecond)
					synctest.Wait()
					most, before = max(most, f.Dials(tt.at)-before), f.Dials(tt.at)
				}
				time.Sleep(2 * time.Second) // the connections that ask how pings are taken end
				require.Equal(t, clients, f.Open(tt.at))
				require.LessOrEqual(t, most, tt.most)
			})
		})
	}
}

// load calls as long as the test wants, and fails it if a call fails.
type load struct {
	callers int
	stop    chan struct{}
	done    chan int // how many calls each has made
}

func (f *fleet) load(c *rpcx.Client, callers int, every time.Duration) *load {
	l := &load{callers, make(chan struct{}), make(chan int)}
	for i := range callers {
		go func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					l.done <- n
					return
				case <-time.After(every):
				}
				id := i*1_000_000 + n
				method := "Bank.Deposit"
				if n%10 == 0 {
					method = "Bank.SlowDeposit"
				}
				var total int
				if err := c.Call(method, Deposit{id, 1}, &total); err != nil || total != 1 {
					f.t.Errorf("call %d: %d %v", id, total, err)
				}
				if runs := f.ledger.count(id); runs != 1 {
					f.t.Errorf("call %d ran %d times", id, runs)
				}
			}
		}()
	}
	return l
}

func (l *load) end() (calls int) {
	close(l.stop)
	for range l.callers {
		calls += <-l.done
	}
	return calls
}

// Every replica is replaced by another one, whose process starts only when it is
// listed, and ends soon after it is not: no call fails, none runs twice.
func TestRollingReplacement(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		c, sets := f.resolve(f.addrs...)
		defer c.Close()
		l := f.load(c, 20, 10*time.Millisecond)
		set := f.addrs
		for i := range 6 {
			next := fmt.Sprintf("r%d:1", i)
			f.Delay(next, time.Millisecond)
			f.start(next)
			old := set[0]
			set = append(set[1:len(set):len(set)], next)
			sets <- said{set: setOf(set...)}
			time.Sleep(3 * time.Second)
			require.Zero(t, f.Open(old))
			f.kill(old)
		}
		for i := range 2 { // and now all at once
			set = nil
			for j := range 3 {
				next := fmt.Sprintf("s%d-%d:1", i, j)
				f.Delay(next, time.Millisecond)
				f.start(next)
				set = append(set, next)
			}
			sets <- said{set: setOf(set...)}
			time.Sleep(3 * time.Second)
		}
		require.Greater(t, l.end(), 3_500)
		require.Equal(t, 3, c.Live())
	})
}
