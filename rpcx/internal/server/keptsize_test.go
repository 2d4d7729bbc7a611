package server

import (
	"io"
	"net/rpc"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/simnet"
)

// largeReply is the length of the replies of Large.
const largeReply = 100 << 10

// Large is a service with large replies. It knows which of them are still in memory.
type Large struct {
	mu   sync.Mutex
	made []weak.Pointer[string]
}

// Make implements a method.
func (l *Large) Make(takes time.Duration, reply *string) error {
	time.Sleep(takes)
	*reply = strings.Repeat("x", largeReply)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = append(l.made, weak.Make(reply))
	return nil
}

// inMemory returns, of each reply in the order in which they were made, whether it is in memory.
func (l *Large) inMemory() (in []bool) {
	runtime.GC()
	runtime.GC() // behind pools
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.made {
		in = append(in, p.Value() != nil)
	}
	return in
}

// keepingLarge runs f in virtual time with a server of Large.
func keepingLarge(t *testing.T, keep int64, newCodec func(*Config), f func(t *testing.T, network *simnet.Network, large *Large)) {
	t.Helper()
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		large := new(Large)
		cfg := config(t, large)
		cfg.KeepAnswers, cfg.KeepAnswersFor = keep, keepFor
		newCodec(&cfg)
		stop := serve(network.Listen("s:1"), cfg)
		f(t, network, large)
		require.NoError(t, stop())
	})
}

// Answers that no client has confirmed are kept up to the limit, the latest ones, whether they
// could be sent or not.
func TestKeptAnswersAreLimitedByTheirLength(t *testing.T) {
	t.Parallel()
	const clients, room = 12, 3
	for name, c := range codecs {
		for _, broken := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				newCodec := func(cfg *Config) { cfg.NewCodec = c.server }
				keepingLarge(t, room*largeReply+16<<10, newCodec, func(t *testing.T, network *simnet.Network, large *Large) {
					var sessions [clients]protocol.Session
					for i := range sessions {
						k := dialKeptBy(t, network, c.client)
						sessions[i] = k.welcome()
						if !broken {
							require.Empty(t, k.call("Large.Make", true, time.Duration(0), new(string)))
							continue
						}
						k.send("Large.Make", true, time.Minute+time.Duration(i)*time.Millisecond)
						synctest.Wait()
						k.codec.Close()
					}
					if broken {
						time.Sleep(time.Minute + time.Second)
					}
					synctest.Wait()
					for i, in := range large.inMemory() { // while the connections last, if they do
						require.Equal(t, i >= clients-room, in, "reply %d", i)
					}
					asker := dialKeptBy(t, network, c.client)
					asker.welcome()
					for i, s := range sessions {
						var reply string
						failure := asker.call(protocol.RecallMethod, false, protocol.NewRecall(s, 2, true), &reply)
						if i < clients-room {
							require.Equal(t, protocol.ErrForgotten.Error(), failure)
						} else {
							require.Empty(t, failure)
							require.Len(t, reply, largeReply)
						}
					}
				})
			})
		}
	}
}

// Several answers on one connection that has broken count each as their length: the first one
// that cannot be sent does not end the counting.
func TestAnswersOfABrokenConnectionCount(t *testing.T) {
	t.Parallel()
	const calls, room = 10, 3
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			newCodec := func(cfg *Config) { cfg.NewCodec = c.server }
			keepingLarge(t, room*largeReply+16<<10, newCodec, func(t *testing.T, network *simnet.Network, large *Large) {
				k := dialKeptBy(t, network, c.client)
				k.welcome()
				for i := range calls {
					k.seq++
					m := &codec.RequestMeta{Call: k.seq + uint64(i), Pending: uint64(i)}
					k.write("Large.Make", m, time.Minute+time.Duration(i)*time.Millisecond)
				}
				synctest.Wait()
				k.codec.Close()
				time.Sleep(time.Minute + time.Second)
				synctest.Wait()
				for i, in := range large.inMemory() {
					require.Equal(t, i >= calls-room, in, "reply %d", i)
				}
			})
		})
	}
}

// Loose has a value of any type.
type Loose struct{ Value any }

// MakeLoose implements a method.
func (l *Large) MakeLoose(takes time.Duration, reply *Loose) error {
	text := new(string)
	reply.Value = text
	return l.Make(takes, text)
}

// An answer that is larger than MaxFrame is kept as the error that the client got in its place.
func TestAnswerLargerThanMaxFrame(t *testing.T) {
	t.Parallel()
	const most = 10 << 10
	for name, newServer := range map[string]func(io.ReadWriteCloser) rpc.ServerCodec{
		"gob": codec.Gob{MaxFrame: most}.NewServer, "json": codec.JSON{MaxFrame: most}.NewServer, "json2": codec.JSON2{MaxFrame: most}.NewServer,
	} {
		for _, method := range []string{"Large.Make", "Large.MakeLoose"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				keepingLarge(t, 64<<10, func(cfg *Config) { cfg.NewCodec = newServer }, func(t *testing.T, network *simnet.Network, large *Large) {
					k, asker := dialKeptBy(t, network, codecs[name].client), dialKeptBy(t, network, codecs[name].client)
					s := k.welcome()
					asker.welcome()
					failure := k.call(method, true, time.Duration(0), nil)
					require.Contains(t, failure, "the reply cannot be sent")
					synctest.Wait()
					require.Equal(t, []bool{false}, large.inMemory())
					for range 3 {
						require.Equal(t, failure, asker.call(protocol.RecallMethod, false, protocol.NewRecall(s, 2, true), nil))
					}
				})
			})
		}
	}
}
