package server

import (
	"io"
	"net/rpc"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/simnet"
)

// rawClient is a client of a server that keeps answers, over one connection.
type rawClient struct {
	t     *testing.T
	codec codec.MetaClient
	seq   uint64
}

func dialKept(t *testing.T, network *simnet.Network) *rawClient {
	t.Helper()
	return dialKeptBy(t, network, codec.NewGobClient)
}

// dialKeptBy is dialKept in any wire format.
func dialKeptBy(t *testing.T, network *simnet.Network, client func(io.ReadWriteCloser) rpc.ClientCodec) *rawClient {
	t.Helper()
	conn := dial(t, network)
	t.Cleanup(func() { conn.Close() })
	c := client(conn).(codec.MetaClient)
	c.UseMeta()
	c.SetMetaSupport(true)
	return &rawClient{t: t, codec: c}
}

// call makes a call, which the server is to remember, and returns the error of the reply.
func (k *rawClient) call(method string, remember bool, args, reply any) string {
	k.t.Helper()
	k.send(method, remember, args)
	var r rpc.Response
	require.NoError(k.t, k.codec.ReadResponseHeader(&r))
	if r.Error != "" {
		reply = nil
	}
	require.NoError(k.t, k.codec.ReadResponseBody(reply))
	return r.Error
}

func (k *rawClient) send(method string, remember bool, args any) {
	k.t.Helper()
	k.seq++
	var m *codec.RequestMeta
	if remember {
		m = &codec.RequestMeta{Call: k.seq}
	}
	k.write(method, m, args)
}

// write sends the request with the number k.seq.
func (k *rawClient) write(method string, m *codec.RequestMeta, args any) {
	k.t.Helper()
	require.NoError(k.t, k.codec.WriteRequestMeta(&rpc.Request{ServiceMethod: method, Seq: k.seq - 1}, m, args))
}

func (k *rawClient) welcome() protocol.Session {
	k.t.Helper()
	var said protocol.Welcome
	require.Empty(k.t, k.call(protocol.WelcomeMethod, false, struct{}{}, &said))
	s, ok := said.Names()
	require.True(k.t, ok)
	return s
}

// keeping runs f in virtual time, with a network in memory and a server that keeps answers.
func keeping(t *testing.T, keep int64, f func(t *testing.T, network *simnet.Network, work *Work)) {
	t.Helper()
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		work := new(Work)
		cfg := config(t, work)
		cfg.KeepAnswers, cfg.KeepAnswersFor = keep, keepFor
		stop := serve(network.Listen("s:1"), cfg)
		f(t, network, work)
		require.NoError(t, stop())
	})
}

// What cannot be decoded has not run, what panics has, and what there is no method for has an
// answer as well.
func TestAnswersOfWhatDidNotReturn(t *testing.T) {
	keeping(t, 1<<20, func(t *testing.T, network *simnet.Network, work *Work) {
		a, b := dialKept(t, network), dialKept(t, network)
		s := a.welcome() // the first request
		require.NotEmpty(t, a.call("Work.Do", true, "no number", new(int)))
		require.Equal(t, ErrPanicked.Error(), a.call("Work.Panic", true, "why", new(int)))
		a.send("Work.Do", true, 5)
		synctest.Wait()
		require.EqualValues(t, 1, work.calls.Load())
		ask := func(n uint64, reply any) string {
			return b.call(protocol.RecallMethod, false, protocol.NewRecall(s, n, true), reply)
		}
		q := protocol.NewRecall(s, 2, true)
		require.Equal(t, protocol.ErrForgotten.Error(), ask(2, new(int)), "a later request has acknowledged it")
		require.Equal(t, protocol.ErrForgotten.Error(), ask(3, new(int)), "likewise")
		var n int
		require.Empty(t, ask(4, &n))
		require.Equal(t, 5, n)
		q = protocol.NewRecall(s, 5, true)
		require.Equal(t, q.NotRun().Error(), ask(5, new(int)))
		var r rpc.Response
		for a.codec.ReadResponseHeader(&r) == nil { // the connection has ended
			require.NoError(t, a.codec.ReadResponseBody(nil))
		}

		for call, want := range map[string]string{"Work.Do": "not run", "Work.Panic": ErrPanicked.Error(), "Work.None": "rpc: can't find method Work.None"} {
			c := dialKept(t, network)
			s := c.welcome()
			c.call(call, true, "text", new(int))
			got := b.call(protocol.RecallMethod, false, protocol.NewRecall(s, 2, true), new(int))
			if q := protocol.NewRecall(s, 2, true); want == "not run" {
				want = q.NotRun().Error()
			}
			require.Equal(t, want, got, call)
		}
	})
}

// A server that keeps no answers says so, and knows of no calls.
func TestNoAnswersAreKept(t *testing.T) {
	keeping(t, 0, func(t *testing.T, network *simnet.Network, _ *Work) {
		k := dialKept(t, network)
		require.Equal(t, protocol.Session{}, k.welcome())
		var n int
		require.Empty(t, k.call("Work.Do", true, 3, &n), "what a server does not keep is run all the same")
		require.Equal(t, 3, n)
		require.Contains(t, k.call(protocol.RecallMethod, false, protocol.NewRecall(protocol.Session{1}, 1, true), &n), "can't find service")
	})
}

// A request whose number is not its position ends the connection.
func TestWrongNumberEndsTheConnection(t *testing.T) {
	keeping(t, 1<<20, func(t *testing.T, network *simnet.Network, work *Work) {
		k := dialKept(t, network)
		s := k.welcome()
		k.seq++ // as if one had been lost
		k.send("Work.Do", true, 1)
		require.Error(t, k.codec.ReadResponseHeader(new(rpc.Response)))
		require.Zero(t, work.calls.Load())
		b, q := dialKept(t, network), protocol.NewRecall(s, 2, true)
		require.Equal(t, q.NotRun().Error(), b.call(protocol.RecallMethod, false, q, new(int)))
	})
}
