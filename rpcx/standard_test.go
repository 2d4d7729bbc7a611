package rpcx_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Code that takes a *rpc.Client has our replicas and retries through it.
func TestStandardClientSurvivesAKilledReplica(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"gob":  {nil, codec.NewGobServer},
		"json": {codec.NewJSONClient, codec.NewJSONServer},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				f.serve = func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(c.server(conn)) }
				for _, addr := range []string{"a:1", "b:1", "c:1"} {
					f.addrs = append(f.addrs, addr)
					f.Delay(addr, time.Millisecond)
					f.start(addr)
				}
				f.dialer.Codec, f.dialer.Methods = c.client, idempotent("Bank.*")
				ours := f.dial()
				std := ours.StandardClient()
				require.Same(t, std, ours.StandardClient())
				defer std.Close()
				callsOfAllKinds(t, std)
				synctest.Wait()
				f.kill("b:1")
				f.Stall("c:1")
				callsOfAllKinds(t, std)
			})
		})
	}
}

// callsOfAllKinds makes concurrent calls whose replies come in any order and are of many
// types.
func callsOfAllKinds(t *testing.T, std *rpc.Client) {
	t.Helper()
	var wg sync.WaitGroup
	for caller := range 8 {
		random := rand.New(rand.NewPCG(uint64(caller), 3))
		wg.Go(func() {
			for i := range 25 {
				id := caller*1000 + i
				var total int
				var name string
				var order rpcx.Call // of no type that a reply has
				var err error
				switch random.IntN(5) {
				case 0:
					if err = std.Call("Bank.Deposit", Deposit{ID: id, Amount: id}, &total); err == nil && total != id {
						err = fmt.Errorf("total %d, want %d", total, id)
					}
				case 1:
					err = std.Call("Bank.Sleep", time.Duration(random.IntN(100))*time.Millisecond, &name)
				case 2:
					var got Order
					if err = std.Call("Bank.Place", newOrder(0), &got); err == nil && (got.Next == nil || got.Counts["a"][1] != 2) {
						err = fmt.Errorf("order %v", got)
					}
				case 3:
					if want := rpc.ServerError("no"); std.Call("Bank.Refuse", "no", &order) != want {
						err = errors.New("not refused")
					}
				case 4:
					done := make(chan *rpc.Call, 1)
					call := std.Go("Bank.Echo", fmt.Sprint(id), &name, done)
					if got := <-done; got != call || got.Error != nil || name != fmt.Sprint(id) {
						err = fmt.Errorf("%v: %q, want %d", got.Error, name, id)
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Whichever is closed, both are, and calls in flight end with ErrShutdown itself.
func TestStandardClientIsClosedWithItsClient(t *testing.T) {
	t.Parallel()
	for name, close := range map[string]func(*rpcx.Client, *rpc.Client) error{
		"theirs": func(_ *rpcx.Client, std *rpc.Client) error { return std.Close() },
		"ours":   func(ours *rpcx.Client, _ *rpc.Client) error { return ours.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				ours := f.dial()
				std := ours.StandardClient()
				done := make(chan *rpc.Call, 20)
				for range cap(done) {
					std.Go("Bank.Sleep", time.Hour, new(string), done)
				}
				synctest.Wait()
				require.NoError(t, close(ours, std))
				for range cap(done) {
					require.Equal(t, rpc.ErrShutdown, (<-done).Error)
				}
				require.Equal(t, rpc.ErrShutdown, std.Call("Bank.Where", struct{}{}, new(string)))
				require.Equal(t, rpc.ErrShutdown, ours.Call("Bank.Where", struct{}{}, new(string)))
				require.Equal(t, rpc.ErrShutdown, std.Close())
				require.Equal(t, rpc.ErrShutdown, ours.Close())
			})
		})
	}
}

// An error that is known before the request is written is the one that Go returns; a later
// one has its text.
func TestStandardClientErrors(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry.MaxAttempts = -1
		f.dialer.CallTimeout = 10 * time.Second
		ours := f.dial()
		std := ours.StandardClient()
		defer std.Close()
		err := std.Call("Bank.Where", make(chan int), new(string))
		require.Equal(t, ours.Call("Bank.Where", make(chan int), new(string)), err)
		err = std.Call("Bank.Sleep", time.Minute, new(string))
		require.IsType(t, rpc.ServerError(""), err)
		require.ErrorContains(t, err, "context deadline exceeded")
		require.NoError(t, std.Call("Bank.Where", struct{}{}, new(string)))

		f.dialer.MaxCalls, f.dialer.QueueTimeout = 1, -1
		busy := f.dial().StandardClient()
		defer busy.Close()
		call := busy.Go("Bank.Sleep", time.Second, new(string), nil)
		require.ErrorIs(t, busy.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrOverloaded)
		require.NoError(t, (<-call.Done).Error)
	})
}

// A reply that does not fit ends net/rpc's client, as it does without ours, which works on.
func TestStandardClientOfAReplyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		ours := f.dial()
		std := ours.StandardClient()
		require.ErrorContains(t, std.Call("Bank.Where", struct{}{}, new(int)), "reading body gob: ")
		synctest.Wait()
		require.Equal(t, rpc.ErrShutdown, std.Call("Bank.Where", struct{}{}, new(string)))
		require.NoError(t, ours.Call("Bank.Where", struct{}{}, new(string)))
		require.NoError(t, std.Close())
		require.Equal(t, rpc.ErrShutdown, ours.Close())
	})
}

// The reply is decoded into what it is given, as net/rpc does it.
func TestStandardClientDecodesInPlace(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		std := f.dial().StandardClient()
		defer std.Close()
		got := Order{Items: []string{"old"}, Takes: 7}
		require.NoError(t, std.Call("Bank.Place", &Order{Counts: map[string][]int{"x": {1}}}, &got))
		require.Equal(t, Order{Items: []string{"old"}, Takes: 7, Counts: map[string][]int{"x": {1}}}, got)
		require.NoError(t, std.Call("Bank.Where", struct{}{}, nil), "a reply that is not wanted")
	})
}

// A hedge's reply is as good as the first one's.
func TestStandardClientIsHedged(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Methods = idempotent("*")
		f.dialer.Hedge = &rpcx.Hedge{Delay: 20 * time.Millisecond}
		ours := f.dial()
		std := ours.StandardClient()
		defer std.Close()
		synctest.Wait()
		for i := range 20 {
			f.Delay("a:1", time.Second)
			var out string
			require.NoError(t, std.Call("Bank.Echo", fmt.Sprint(i), &out))
			require.Equal(t, fmt.Sprint(i), out)
		}
		require.NotZero(t, ours.Stats().HedgesWon)
	})
}

// The end of a connection that was given is net/rpc's: the cause for the calls in flight,
// and ErrShutdown for later ones.
func TestStandardClientOfAGivenConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(f *fleet)
		want error
	}{
		"lost":   {func(f *fleet) { f.Cut("a:1") }, syscall.ECONNRESET},
		"frozen": {func(f *fleet) { f.Stall("a:1") }, rpcx.ErrUnresponsive},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				conn, err := f.DialContext(t.Context(), "tcp", "a:1")
				require.NoError(t, err)
				std := rpcx.NewClient(conn).StandardClient()
				require.NoError(t, std.Call("Bank.Where", struct{}{}, new(string)))
				done := make(chan *rpc.Call, 5)
				for range cap(done) {
					std.Go("Bank.Sleep", time.Hour, new(string), done)
				}
				time.Sleep(time.Minute) // it answers pings beside them
				start := time.Now()
				c.end(f)
				for range cap(done) {
					require.ErrorIs(t, (<-done).Error, c.want)
				}
				require.LessOrEqual(t, time.Since(start), 5*time.Second)
				require.Equal(t, rpc.ErrShutdown, std.Call("Bank.Where", struct{}{}, new(string)))
				require.NoError(t, std.Close())
			})
		})
	}
}

// A codec that is not of this module cannot keep replies; its calls are refused before they
// are sent.
func TestStandardClientOverAForeignCodec(t *testing.T) {
	for name, client := range map[string]func(*testing.T, net.Conn) *rpcx.Client{
		"Codec": func(t *testing.T, conn net.Conn) *rpcx.Client {
			return newClient(t, rpcx.Dialer{Codec: stdjson.NewClientCodec}, conn)
		},
		"NewClientWithCodec": func(_ *testing.T, conn net.Conn) *rpcx.Client {
			return rpcx.NewClientWithCodec(stdjson.NewClientCodec(conn))
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			near, far := net.Pipe()
			server := rpc.NewServer()
			bank := &Bank{ledger: &ledger{runs: make(map[int]int)}}
			require.NoError(t, server.RegisterName("Bank", bank))
			go server.ServeCodec(stdjson.NewServerCodec(far))
			ours := client(t, near)
			std := ours.StandardClient()
			for range 2 {
				require.ErrorContains(t, std.Call("Bank.Deposit", Deposit{ID: 1}, new(int)), "the connection's codec cannot keep a reply")
			}
			require.NoError(t, ours.Call("Bank.Deposit", Deposit{ID: 2}, new(int)))
			require.Zero(t, bank.ledger.count(1))
			require.Equal(t, 1, bank.ledger.count(2))
			require.NoError(t, std.Close())
		})
	}
}

// Real sockets, many callers: net/rpc's client over ours loses no reply, and can be closed at
// any time.
func TestStandardClientIsClosedAtAnyTime(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	accept(t, lis, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeConn(c) })
	for range 15 {
		ours, err := rpcx.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		std := ours.StandardClient()
		var wg sync.WaitGroup
		begun := make(chan struct{}, 8)
		for n := range cap(begun) {
			wg.Go(func() {
				for i := 1; ; i++ {
					var product int
					err := std.Call("Arith.Multiply", Args{n, i}, &product)
					if i == 20 {
						begun <- struct{}{}
					}
					switch {
					case err == rpc.ErrShutdown: //nolint:errorlint // it is itself
						return
					case err != nil || product != n*i:
						t.Errorf("%d times %d: %d, %v", n, i, product, err)
						return
					}
				}
			})
		}
		for range cap(begun) {
			<-begun
		}
		require.NoError(t, std.Close())
		wg.Wait()
	}
}
