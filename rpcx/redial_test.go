package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A virtual address with three servers behind it, of which one is gone, or takes
// connections only to drop them: the endpoint works all the same (servicetalk#2457,
// kubernetes#24322, cilium#36427).
func TestVirtualAddressWithADeadServer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*fleet, string){
		"refused":  (*fleet).kill,
		"vanished": (*fleet).vanish,
		"dropped":  (*fleet).kill,
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				servers := []string{"a1:1", "a2:1", "a3:1"}
				for _, a := range servers {
					f.start(a)
				}
				ln := f.Listen("drop:1")
				go func() {
					for {
						c, err := ln.Accept()
						if err != nil {
							return
						}
						c.Close()
					}
				}()
				var dials atomic.Int64
				f.dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					n := dials.Add(1) - 1
					if n > 3 && n%3 == 0 && name == "dropped" {
						return f.DialContext(ctx, network, "drop:1")
					}
					return f.DialContext(ctx, network, servers[n%3])
				}
				f.dialer.Conns = 3
				if name == "dropped" { // a call may be written before the end is seen
					f.dialer.Methods = idempotent("*")
				}
				c := f.dial()
				defer c.Close()
				where(t, c, 30)
				time.Sleep(2 * time.Second)
				require.Equal(t, 3, c.Stats().Endpoints[0].Conns)

				fault(f, "a1:1")
				synctest.Wait()
				for i := range 300 {
					if i%30 == 15 && f.Open("a2:1") > 0 && f.Open("a3:1") > 0 {
						f.Cut("a2:1") // one works
						synctest.Wait()
					}
					_, err := hurried(t, c)
					require.NoError(t, err)
					require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
					time.Sleep(60 * time.Millisecond)
				}
				require.Greater(t, dials.Load(), int64(6))
			})
		})
	}
}

// A listener that is closed says nothing of the connections that it has accepted. It is
// asked less and less often, and soon after a connection that has worked.
func TestListenerIsClosedWhileConnectionsWork(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(300)
		f.dialer.Conns = 2
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		calls := func(d time.Duration) (dials int) {
			before := f.allDials(300)
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(50 * time.Millisecond) {
				where(t, c, 1)
			}
			return f.allDials(300) - before
		}
		f.refuseAll(300)
		f.Cut("a1:1")
		synctest.Wait()
		require.GreaterOrEqual(t, calls(2*time.Second), 3, "at first it is asked often")
		calls(20 * time.Second)
		dials := calls(time.Minute)
		require.GreaterOrEqual(t, dials, 10)
		require.LessOrEqual(t, dials, 30, "and then every few seconds")

		f.resumeAll(300)
		calls(6 * time.Second)
		require.Equal(t, 2, c.Stats().Endpoints[0].Conns, "it is back")
		f.refuseAll(300)
		f.Cut("a2:1")
		synctest.Wait()
		require.GreaterOrEqual(t, calls(2*time.Second), 3, "the pause begins anew")
	})
}

func (f *fleet) each(n int, do func(string)) {
	for i := 1; i <= n; i++ {
		do(fmt.Sprintf("a%d:1", i))
	}
}

func (f *fleet) refuseAll(n int) { f.each(n, f.Refuse) }
func (f *fleet) resumeAll(n int) { f.each(n, f.Resume) }

func (f *fleet) allDials(n int) (sum int) {
	f.each(n, func(a string) { sum += f.Dials(a) })
	return sum
}

// Of a last connection nothing is left: then a failed dial is the end of the endpoint, and
// so it is if there is one that takes no calls and still owes an answer.
func TestFailedDialWithoutAWorkingConnection(t *testing.T) {
	t.Parallel()
	for _, retired := range []bool{false, true} {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			f.dialer.Retry.MaxAttempts = -1
			c := f.dial()
			defer c.Close()
			where(t, c, 3)
			slow := c.Go("Bank.Sleep", time.Minute, new(string), nil)
			f.Refuse("a:1")
			if retired {
				require.Error(t, c.Call("Bank.Where", struct{ X any }{make(chan int)}, new(string)))
			} else {
				f.Cut("a:1")
			}
			synctest.Wait()
			require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), syscall.ECONNREFUSED)
			require.Equal(t, breaker.Open, c.Stats().Endpoints[0].State)
			require.Equal(t, retired, (<-slow.Done).Error == nil)
		})
	}
}

// A dial that hangs must not keep the prober from the other connections.
func TestSilenceIsFoundBesideADialThatHangs(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(50)
		f.dialer.Conns = 2
		for i := 2; i <= 50; i++ {
			f.Blackhole(fmt.Sprintf("a%d:1", i))
		}
		c := f.dial()
		defer c.Close()
		for range 100 {
			where(t, c, 1)
			time.Sleep(100 * time.Millisecond)
		}
		f.Stall("a1:1")
		begin := time.Now()
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnresponsive)
		require.LessOrEqual(t, time.Since(begin), 5*time.Second)
	})
}

// localCauses are errors of dials that have not asked the peer.
func localCauses() map[string]error {
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	return map[string]error{
		"no descriptor":       op(os.NewSyscallError("socket", syscall.EMFILE)),
		"none of the system":  op(os.NewSyscallError("socket", syscall.ENFILE)),
		"no port":             op(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)),
		"no route":            op(os.NewSyscallError("connect", syscall.ENETUNREACH)),
		"no memory":           op(os.NewSyscallError("connect", syscall.ENOBUFS)),
		"a firewall":          op(os.NewSyscallError("connect", syscall.EPERM)),
		"no descriptor there": op(os.NewSyscallError("wsasocket", syscall.Errno(10024))), // WSAEMFILE
		"no port there":       op(os.NewSyscallError("connectex", syscall.Errno(10049))), // WSAEADDRNOTAVAIL
		"no name service":     op(&net.DNSError{Err: "server misbehaving", Name: "a", IsTemporary: true}),
		"cancelled":           op(context.Canceled),
		"wrapped":             fmt.Errorf("proxy: %w", errors.Join(errors.New("other"), op(syscall.EMFILE))),
	}
}

// A cause on this side says nothing of the peer: no breaker opens, the call goes
// elsewhere or fails with the cause, and dials are few.
func TestLocalCauseOfAFailedDial(t *testing.T) {
	t.Parallel()
	for name, cause := range localCauses() {
		for _, heartbeat := range []time.Duration{0, -1} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 2, func(t *testing.T, f *fleet) {
					f.dialer.Heartbeat = heartbeat
					var failing atomic.Int64 // replicas that cannot be dialed
					var dials atomic.Int64
					f.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						dials.Add(1)
						if failing.Load() == 2 || failing.Load() == 1 && addr == "a:1" {
							return nil, cause
						}
						return f.DialContext(ctx, network, addr)
					}
					c := f.dial()
					defer c.Close()
					where(t, c, 20)
					failing.Store(1)
					f.Cut("a:1")
					synctest.Wait()
					for range 25 {
						_, err := hurried(t, c)
						require.NoError(t, err, "it goes elsewhere")
						time.Sleep(80 * time.Millisecond)
					}

					failing.Store(2)
					f.Cut("b:1")
					synctest.Wait()
					dials.Store(0)
					for range 25 {
						err := c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
						require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
						require.ErrorIs(t, err, cause)
						require.NotErrorIs(t, err, breaker.ErrOpen)
						time.Sleep(80 * time.Millisecond)
					}
					for _, e := range c.Stats().Endpoints {
						require.Equal(t, breaker.Closed, e.State)
						require.Zero(t, e.Window.Failures)
						require.False(t, e.Connected)
					}
					require.GreaterOrEqual(t, dials.Load(), int64(4))
					require.LessOrEqual(t, dials.Load(), int64(100), "no spin")

					failing.Store(0)
					time.Sleep(time.Second)
					where(t, c, 20)
					time.Sleep(2 * time.Second)
					require.Len(t, where(t, c, 100), 2, "both are back")
				})
			})
		}
	}
}

// What the peer's side says opens the breaker, as ever.
func TestCauseOfAFailedDialThatIsThePeers(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"refused":   syscall.ECONNREFUSED,
		"no host":   syscall.EHOSTUNREACH,
		"reset":     syscall.ECONNRESET,
		"timeout":   context.DeadlineExceeded,
		"no name":   &net.DNSError{Err: "no such host", Name: "a", IsNotFound: true},
		"handshake": errors.New("tls: bad certificate"),
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var fails atomic.Bool
				f.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if fails.Load() {
						return nil, cause
					}
					return f.DialContext(ctx, network, addr)
				}
				c := f.dial()
				defer c.Close()
				fails.Store(true)
				f.Cut("a:1")
				synctest.Wait()
				require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), cause)
				require.Equal(t, breaker.Open, c.Stats().Endpoints[0].State)
			})
		})
	}
}

// The try of a half-open breaker fails for a cause of this side: that is no failure of
// the peer's, and it is tried again soon, with the breaker as it was.
func TestLocalCauseWhileHalfOpen(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		var local atomic.Bool
		var dials atomic.Int64
		f.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			if local.Load() && addr == "a:1" {
				return nil, syscall.EMFILE
			}
			return f.DialContext(ctx, network, addr)
		}
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		f.kill("a:1")
		time.Sleep(500 * time.Millisecond)
		for c.Stats().Endpoints[0].State != breaker.Open { // a probe may be under way
			time.Sleep(time.Millisecond)
		}
		local.Store(true)
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		require.Equal(t, breaker.HalfOpen, c.Stats().Endpoints[0].State)
		dials.Store(0)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, dials.Load(), int64(25), "no spin")
		require.GreaterOrEqual(t, dials.Load(), int64(8))
		local.Store(false)
		time.Sleep(2100 * time.Millisecond)
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
	})
}

// Dial fails with the cause, whichever side's it is, if nothing can be reached.
func TestDialFailsWithTheLocalCause(t *testing.T) {
	d := rpcx.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EMFILE }}
	_, err := d.Dial("tcp", "a:1,b:1")
	require.ErrorIs(t, err, syscall.EMFILE)
}

// A call that waits for a dial that hangs takes the first connection that there is.
func TestCallTakesTheFirstConnectionOfSeveral(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.aliases(50)
		f.dialer.Conns = 3
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		where(t, c, 30)
		f.Blackhole("a4:1")
		f.each(3, f.Cut)
		synctest.Wait()
		begin := time.Now()
		where(t, c, 1)
		require.Less(t, time.Since(begin), time.Second)
		where(t, c, 100)
		require.Zero(t, c.Stats().Endpoints[0].Trips)
	})
}
