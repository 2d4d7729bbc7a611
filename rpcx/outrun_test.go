package rpcx_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
)

// An idempotent call that waits on a frozen endpoint goes to another one when the endpoint
// becomes suspect, and does not wait until the endpoint is convicted.
func TestStuckCallGoesElsewhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		detection time.Duration
		most      time.Duration
		call      func(c *rpcx.Client, name *string) error
	}{
		{"Call", 0, 1700 * time.Millisecond, func(c *rpcx.Client, name *string) error {
			return c.Call("Bank.Where", struct{}{}, name)
		}},
		{"Call", time.Second, 410 * time.Millisecond, func(c *rpcx.Client, name *string) error {
			return c.Call("Bank.Where", struct{}{}, name)
		}},
		{"CallContext", 0, 1700 * time.Millisecond, func(c *rpcx.Client, name *string) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return c.CallContext(ctx, "Bank.Where", struct{}{}, name)
		}},
		{"Go", 0, 1700 * time.Millisecond, func(c *rpcx.Client, name *string) error {
			return (<-c.Go("Bank.Where", struct{}{}, name, nil).Done).Error
		}},
	} {
		for _, callers := range []int{1, 4} {
			t.Run(tt.name+" "+tt.detection.String(), func(t *testing.T) {
				inFleet(t, 3, func(t *testing.T, f *fleet) {
					f.dialer.Methods = idempotent("*")
					f.dialer.DetectionTime = tt.detection
					var mu sync.Mutex // protects following
					var hedged rpcx.HedgeInfo
					longest := time.Duration(0)
					f.dialer.Trace = &rpcx.ClientTrace{Hedge: func(_ context.Context, i rpcx.HedgeInfo) {
						mu.Lock()
						defer mu.Unlock()
						hedged = i
					}}
					c := f.dial()
					defer c.Close()
					load := func(d time.Duration) {
						end := time.Now().Add(d)
						var all sync.WaitGroup
						for range callers {
							all.Go(func() {
								for time.Now().Before(end) {
									began, name := time.Now(), ""
									if err := tt.call(c, &name); err != nil || name == "" {
										t.Errorf("%q %v", name, err)
									}
									mu.Lock()
									longest = max(longest, time.Since(began))
									mu.Unlock()
									time.Sleep(50 * time.Millisecond)
								}
							})
						}
						all.Wait()
					}
					load(12 * time.Second) // for the detector to know how regular the answers are
					require.Less(t, longest, 10*time.Millisecond)
					require.Zero(t, c.Stats().Hedges)
					f.Stall("b:1")
					synctest.Wait()
					load(4 * time.Second)
					s := c.Stats()
					t.Log(callers, "callers: longest", longest, "hedges", s.Hedges, "won", s.HedgesWon, "retries", s.Retries)
					require.LessOrEqual(t, longest, tt.most)
					require.Positive(t, s.HedgesWon)
					require.Equal(t, "b:1", hedged.First)
					require.InDelta(t, longest, hedged.Delay, float64(50*time.Millisecond))
				})
			})
		}
	}
}

// stuck makes a call to each of two endpoints, of which a:1 is frozen, and returns the call
// that waits there. It is suspect after 1.5 to 2 s, and convicted after 2.5 s.
func (f *fleet) stuck(ctx context.Context, c *rpcx.Client, name *string) <-chan error {
	f.Stall("a:1")
	ended, failed := make(chan string, 2), make(chan error, 1)
	for range 2 {
		go func() {
			var mine string
			if err := c.CallContext(ctx, "Bank.Where", struct{}{}, &mine); err != nil {
				failed <- err
				return
			}
			ended <- mine
		}()
	}
	require.Equal(f.t, "b:1", <-ended)
	done := make(chan error, 1)
	go func() {
		select {
		case *name = <-ended:
			done <- nil
		case err := <-failed:
			done <- err
		}
	}()
	return done
}

func inPair(t *testing.T, test func(*testing.T, *fleet, *rpcx.Client)) {
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Balancer = balancer.RoundRobin()
		f.dialer.Methods, f.dialer.Retry.MaxAttempts = idempotent("*"), -1
		c := f.dial()
		defer c.Close()
		where(t, c, 2)
		time.Sleep(5 * time.Second)
		test(t, f, c)
	})
}

func TestStuckCallEndsWithTheFirstAnswer(t *testing.T) {
	t.Parallel()
	inPair(t, func(t *testing.T, f *fleet, c *rpcx.Client) {
		var name string
		began, done := time.Now(), f.stuck(context.Background(), c, &name)
		time.Sleep(1400 * time.Millisecond)
		f.Delay("b:1", time.Second)
		time.Sleep(800 * time.Millisecond)
		require.Equal(t, uint64(1), c.Stats().Hedges)
		f.Resume("a:1")
		require.NoError(t, <-done)
		require.Equal(t, "a:1", name)
		require.Less(t, time.Since(began), 2300*time.Millisecond)
		time.Sleep(5 * time.Second)
		require.Zero(t, c.Stats().HedgesWon)
		require.Zero(t, c.Stats().InFlight)
	})
}

func TestStuckCallOutlivesItsSecondAttempt(t *testing.T) {
	t.Parallel()
	inPair(t, func(t *testing.T, f *fleet, c *rpcx.Client) {
		var name string
		done := f.stuck(context.Background(), c, &name)
		time.Sleep(1400 * time.Millisecond)
		f.Delay("b:1", time.Second)
		time.Sleep(700 * time.Millisecond)
		require.Equal(t, uint64(1), c.Stats().Hedges)
		f.kill("b:1")
		time.Sleep(100 * time.Millisecond)
		f.Resume("a:1")
		require.NoError(t, <-done)
		require.Equal(t, "a:1", name)
	})
}

func TestStuckCallIsLeftByItsCaller(t *testing.T) {
	t.Parallel()
	inPair(t, func(t *testing.T, f *fleet, c *rpcx.Client) {
		ctx, cancel := context.WithTimeout(context.Background(), 2200*time.Millisecond)
		defer cancel()
		var name string
		began, done := time.Now(), f.stuck(ctx, c, &name)
		time.Sleep(1400 * time.Millisecond)
		f.Delay("b:1", time.Second)
		err := <-done
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2, callError(t, err).Attempts)
		require.Equal(t, rpcx.MaybeSent, callError(t, err).Sent)
		require.Equal(t, 2200*time.Millisecond, time.Since(began))
		require.Equal(t, uint64(1), c.Stats().Hedges)
		f.Resume("a:1")
		time.Sleep(5 * time.Second)
		for _, e := range c.Stats().Endpoints {
			require.Zero(t, e.InFlight)
		}
	})
}

// What must not be hedged waits for the conviction, and so does what finds no other endpoint.
func TestStuckCallThatIsNotHedged(t *testing.T) {
	t.Parallel()
	for name, forbid := range map[string]func(f *fleet, reply *string){
		"by the user": func(f *fleet, _ *string) {
			f.dialer.Methods["*"] = rpcx.MethodOptions{Idempotent: rpcx.Yes, Hedge: rpcx.No}
		},
		"it holds something":    func(_ *fleet, reply *string) { *reply = "old" },
		"it is not idempotent":  func(f *fleet, _ *string) { f.dialer.Methods = nil },
		"there is no other one": func(f *fleet, _ *string) { f.addrs = f.addrs[:1] },
	} {
		for _, async := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 2, func(t *testing.T, f *fleet) {
					f.dialer.Balancer = balancer.RoundRobin()
					f.dialer.Methods = idempotent("*")
					var reply string
					forbid(f, &reply)
					c := f.dial()
					defer c.Close()
					where(t, c, 2)
					time.Sleep(5 * time.Second)
					f.Stall("a:1")
					f.Stall("b:1") // but for its pings, it would be well
					time.AfterFunc(100*time.Millisecond, func() { f.Resume("b:1") })
					began := time.Now()
					if async {
						<-c.Go("Bank.Where", struct{}{}, &reply, nil).Done
						<-c.Go("Bank.Where", struct{}{}, &reply, nil).Done
					} else {
						_ = c.Call("Bank.Where", struct{}{}, &reply)
						_ = c.Call("Bank.Where", struct{}{}, &reply)
					}
					require.Greater(t, time.Since(began), 2300*time.Millisecond)
					require.Zero(t, c.Stats().Hedges)
				})
			})
		}
	}
}

// A call does not go to an endpoint that is suspect, too.
func TestStuckCallFindsAllSuspect(t *testing.T) {
	t.Parallel()
	for range 15 { // for in which order the endpoints are picked is chance
		inPair(t, func(t *testing.T, f *fleet, c *rpcx.Client) {
			f.Stall("b:1")
			var calls sync.WaitGroup
			for i := range 2 { // one to each; that at b:1 is hedged at a:1
				if i == 1 {
					time.Sleep(300 * time.Millisecond)
					f.Stall("a:1")
				}
				calls.Go(func() { _ = c.Call("Bank.Where", struct{}{}, new(string)) })
				synctest.Wait()
			}
			time.Sleep(2200 * time.Millisecond)
			require.LessOrEqual(t, c.Stats().Hedges, uint64(1))
			f.Resume("a:1")
			f.Resume("b:1")
			calls.Wait()
		})
	}
}
