package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
)

// asked collects what servers were asked.
func (s *shop) asked() *[]rpcx.RecallInfo {
	infos := new([]rpcx.RecallInfo)
	s.dialer.Trace = s.dialer.Trace.Join(&rpcx.ClientTrace{Recall: func(_ context.Context, i rpcx.RecallInfo) { *infos = append(*infos, i) }})
	return infos
}

// breaksAt breaks the clients' ends of all connections after a while.
func (s *shop) breaksAt(d time.Duration) {
	time.AfterFunc(d, func() {
		for _, r := range s.relays {
			r.breakClients()
		}
	})
}

// A call whose answer was lost gets it all the same, however it was made.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for how := range 3 {
		for _, json := range []bool{false, true} {
			inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
				asked := s.asked()
				c := s.dial()
				defer c.Close()
				for id := 1; id <= 3; id++ { // the third is an error of the method
					*asked = nil
					s.relays[0].shut(&s.relays[0].down)
					s.breaksAt(time.Second)
					time.AfterFunc(2*time.Second, func() { s.relays[0].open(&s.relays[0].down) })
					receipt, err := ring(t.Context(), c, &Sale{ID: id}, how)
					s.told(id, receipt, err)
					require.Equal(t, 1, s.ledger.count(id))
					require.Equal(t, id == 3, err != nil)
					require.Len(t, *asked, 1)
					require.Equal(t, rpcx.RecallAnswered, (*asked)[0].Answer)
					require.Equal(t, "Till.Ring", (*asked)[0].Method)
				}
				require.EqualValues(t, 3, c.Stats().DoubtsResolved)
			})
		}
	}
}

// A method that still runs is waited for, over as many connections as it takes, and for longer
// than a dial may take and answers are kept.
func TestCallGoesOnWaiting(t *testing.T) {
	t.Parallel()
	for how := range 3 {
		inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
			asked := s.asked()
			c := s.dial()
			defer c.Close()
			for i := range 4 {
				s.breaksAt(time.Duration(1+i) * 45 * time.Second)
			}
			begin := time.Now()
			receipt, err := ring(t.Context(), c, &Sale{ID: 1, Takes: 200 * time.Second}, how)
			require.NoError(t, err)
			require.Equal(t, "sale 1", receipt)
			require.Equal(t, 1, s.ledger.count(1))
			require.InDelta(t, 200, time.Since(begin).Seconds(), 0.1)
			require.Len(t, *asked, 1)
		})
	}
}

// What never came goes to another endpoint, and does not run when it comes after all.
func TestWhatNeverCameGoesElsewhere(t *testing.T) {
	t.Parallel()
	inShop(t, 2, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
		s.dialer.Balancer = balancer.RoundRobin()
		asked := s.asked()
		c := s.dial()
		defer c.Close()
		for id := 1; len(*asked) == 0; id++ { // until the first endpoint gets one
			require.Less(t, id, 10)
			for i := range 2 { // each has a connection in use
				require.NoError(t, c.Call("Till.Ring", &Sale{ID: -10*id - i}, new(string)))
			}
			r := s.relays[0]
			r.shut(&r.up)
			time.AfterFunc(time.Second, func() {
				r.breakClients()
				hold := r.swap(&r.up) // what is sent from now on passes
				time.AfterFunc(time.Minute, func() { close(hold) })
			})
			receipt, err := ring(t.Context(), c, &Sale{ID: id}, 0)
			s.told(id, receipt, err)
			require.Equal(t, id%7 == 3, err != nil)
			time.Sleep(2 * time.Minute) // until what was held has come
			require.Equal(t, 1, s.ledger.count(id))
		}
		require.Equal(t, rpcx.RecallNotRun, (*asked)[0].Answer)
		require.EqualValues(t, 1, c.Stats().DoubtsResolved)
	})
}

// doubtful makes a call whose connection breaks after a second, and returns its error.
func doubtful(t *testing.T, s *shop, c *rpcx.Client, ctx context.Context, takes time.Duration) *rpcx.CallError { //nolint:revive // the test comes first
	t.Helper()
	s.breaksAt(time.Second)
	err := c.CallContext(ctx, "Till.Ring", &Sale{ID: 1, Takes: takes}, new(string))
	ce := callError(t, err)
	require.Equal(t, rpcx.MaybeSent, ce.Sent, err)
	require.EqualValues(t, 1, c.Stats().DoubtsUnresolved)
	return ce
}

// A server that was restarted does not know, and neither does one of another kind.
func TestRecallOfAServerThatIsGone(t *testing.T) {
	t.Parallel()
	for _, stock := range []bool{false, true} {
		for _, json := range []bool{false, true} {
			inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
				c := s.dial()
				defer c.Close()
				time.AfterFunc(500*time.Millisecond, func() {
					if s.restart(0); stock {
						s.stop("server:0")
						s.startStock()
					}
				})
				ce := doubtful(t, s, c, t.Context(), time.Minute)
				require.Equal(t, rpcx.RecallServerGone, ce.Recall)
				require.ErrorContains(t, ce, "(1 attempt, may have run: another server answers at its address)")
			})
		}
	}
}

// startStock starts a stock server in the place of the first one.
func (s *shop) startStock() {
	server := rpc.NewServer()
	require.NoError(s.t, server.Register(&Till{s.ledger}))
	lis := s.network.Listen("server:0")
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			if s.json {
				go server.ServeCodec(stdjson.NewServerCodec(conn))
			} else {
				go server.ServeConn(conn)
			}
		}
	}()
	s.stopBy("server:0", func() { lis.Close() })
}

func TestForgottenCall(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{KeepAnswers: 1}, false, func(t *testing.T, s *shop) {
		c := s.dial()
		defer c.Close()
		s.relays[0].shut(&s.relays[0].down)
		time.AfterFunc(1500*time.Millisecond, func() { s.relays[0].open(&s.relays[0].down) })
		ce := doubtful(t, s, c, t.Context(), 0)
		require.Equal(t, rpcx.RecallForgotten, ce.Recall)
		require.ErrorContains(t, ce, "the server has forgotten the call")
	})
}

// The question is bounded: by the deadline, or without one by about what a dial may take; and
// where nothing listens any more, by a second.
func TestRecallIsBounded(t *testing.T) {
	t.Parallel()
	for _, deadline := range []time.Duration{0, 7 * time.Second} {
		for _, refuse := range []bool{false, true} {
			inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
				c := s.dial()
				defer c.Close()
				ctx, within := t.Context(), 3200*time.Millisecond
				if deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, deadline)
					defer cancel()
					within = deadline
				}
				time.AfterFunc(time.Second, func() {
					if refuse {
						s.network.Refuse(s.addr(0))
					} else {
						s.network.Stall("server:0")
					}
				})
				if refuse {
					within = 2300 * time.Millisecond
				}
				begin := time.Now()
				ce := doubtful(t, s, c, ctx, time.Minute)
				require.Equal(t, rpcx.RecallUnanswered, ce.Recall)
				require.ErrorContains(t, ce, "the server could not be asked")
				require.LessOrEqual(t, time.Since(begin), within)
				require.Equal(t, deadline > 0 && !refuse, errors.Is(ce, context.DeadlineExceeded))
				require.ErrorIs(t, ce, io.ErrUnexpectedEOF)
			})
		}
	}
}

// Without answers that are kept, all is as with a stock server.
func TestServerThatKeepsNoAnswers(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{KeepAnswers: -1}, false, func(t *testing.T, s *shop) {
		asked := s.asked()
		c := s.dial()
		defer c.Close()
		s.breaksAt(time.Second)
		ce := callError(t, c.CallContext(t.Context(), "Till.Ring", &Sale{ID: 1, Takes: time.Minute}, new(string)))
		require.Equal(t, rpcx.MaybeSent, ce.Sent)
		require.Equal(t, rpcx.NotRecalled, ce.Recall)
		require.ErrorContains(t, ce, "(1 attempt, may have run)")
		require.Empty(t, *asked)
		require.Zero(t, c.Stats().DoubtsUnresolved)
	})
}

// An idempotent call is repeated, and no server is asked.
func TestIdempotentCallsAreNotRecalled(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
		asked := s.asked()
		c := s.dial()
		defer c.Close()
		s.breaksAt(time.Second)
		require.NoError(t, c.CallContext(rpcx.WithIdempotent(t.Context()), "Till.Ring", &Sale{ID: 1, Takes: 2 * time.Second}, new(string)))
		require.Equal(t, 2, s.ledger.count(1))
		require.Empty(t, *asked)
	})
}

func TestCloseEndsARecall(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
		c := s.dial()
		s.breaksAt(time.Second)
		call := c.Go("Till.Ring", &Sale{ID: 1, Takes: time.Minute}, new(string), nil)
		time.Sleep(2 * time.Second)
		require.NoError(t, c.Close())
		require.Equal(t, rpcx.ErrShutdown, (<-call.Done).Error)
	})
}

// Waiter is a service whose method ends with its context.
type Waiter struct{ causes chan error }

// Wait implements a method.
func (w *Waiter) Wait(args *int, after *time.Duration) error {
	begin, ctx := time.Now(), rpcx.ContextOf(args)
	select {
	case <-ctx.Done():
		w.causes <- context.Cause(ctx)
	case <-time.After(time.Minute):
		w.causes <- nil
	}
	*after = time.Since(begin)
	return nil
}

// A method whose client may come back does not learn that the connection is lost, unless the
// client does not come back; and it learns that the client leaves over another connection.
func TestContextOfALostConnection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fate  func(s *shop, c *rpcx.Client, cancel context.CancelFunc)
		cause string // empty for none
		after time.Duration
	}{
		"the client comes back": {func(s *shop, _ *rpcx.Client, _ context.CancelFunc) { s.breaksAt(time.Second) }, "", time.Minute},
		"it comes back, and cancels": {func(s *shop, _ *rpcx.Client, cancel context.CancelFunc) {
			s.breaksAt(time.Second)
			time.AfterFunc(20*time.Second, cancel)
		}, "the caller has canceled", 20 * time.Second},
		"it does not come back": {func(s *shop, _ *rpcx.Client, _ context.CancelFunc) {
			time.AfterFunc(time.Second, func() { s.network.Refuse(s.addr(0)) })
			s.breaksAt(time.Second)
		}, "the connection of the caller is lost", 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
				w := &Waiter{make(chan error, 1)}
				s.extra = w
				s.restart(0)
				c := s.dial()
				defer c.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begin := time.Now()
				test.fate(s, c, cancel)
				err := c.CallContext(ctx, "Waiter.Wait", 1, new(time.Duration))
				require.Equal(t, test.cause == "", err == nil, err)
				cause := <-w.causes
				require.InDelta(t, test.after.Seconds(), time.Since(begin).Seconds(), 2)
				if test.cause == "" {
					require.NoError(t, cause)
				} else {
					require.ErrorContains(t, cause, test.cause)
				}
				synctest.Wait()
			})
		})
	}
}

func TestRecallsHaveNames(t *testing.T) {
	var names []string
	for r := rpcx.NotRecalled; r <= rpcx.RecallUnanswered+1; r++ {
		names = append(names, r.String())
	}
	require.Equal(t, []string{"not asked", "answered", "not run", "forgotten", "server gone", "unanswered", fmt.Sprint("Recall(", len(names)-1, ")")}, names)
}

// Both ends count the same requests: notifications, too, and not what could not be encoded.
func TestBothEndsCountTheSameRequests(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
			asked := s.asked()
			c := s.dial()
			defer c.Close()
			for id := 1; id <= 2; id++ {
				if err := c.Notify(t.Context(), "Till.Ring", &Sale{ID: -100 - id}); !json {
					require.Error(t, err)
				}
				ce := callError(t, c.CallContext(t.Context(), "Till.Ring", func() {}, new(string)))
				require.Equal(t, rpcx.NotSent, ce.Sent)
				require.NoError(t, c.CallContext(rpcx.WithIdempotent(t.Context()), "Till.Ring", &Sale{ID: -1000 - id}, new(string)))
				require.NoError(t, c.Call("Till.Ring", &Sale{ID: id}, new(string)))
			}
			require.Empty(t, *asked, "a connection has ended")
		})
	}
}

// The answer to a question may be lost as well, on a connection that lives.
func TestLostAnswerToAQuestion(t *testing.T) {
	t.Parallel()
	inShop(t, 1, rpcx.ServeConfig{}, true, func(t *testing.T, s *shop) {
		c := s.dial()
		defer c.Close()
		lost := 0
		r := s.relays[0]
		r.mu.Lock()
		r.loses = func(reply []byte) bool {
			if lost > 1 || !bytes.Contains(reply, []byte("sale 1")) {
				return false
			}
			lost++ // the reply, and the answer to the first question
			return true
		}
		r.mu.Unlock()
		s.breaksAt(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var receipt string
		require.NoError(t, c.CallContext(ctx, "Till.Ring", &Sale{ID: 1}, &receipt))
		require.Equal(t, "sale 1", receipt)
		require.Equal(t, 1, s.ledger.count(1))
		require.Equal(t, 2, lost)
	})
}
