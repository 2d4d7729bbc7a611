package rpcx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Patient answers on request.
type Patient struct{ open chan struct{} }

func (Patient) Echo(n int, reply *int) error          { *reply = n; return nil }
func (Patient) Fail(text string, reply *int) error    { return fmt.Errorf("%s", text) }
func (p Patient) Wait(n int, reply *int) error        { <-p.open; *reply = n; return nil }
func (p Patient) Open(n int, reply *int) error        { p.open <- struct{}{}; return nil }
func (Patient) Text(text string, reply *string) error { *reply = text; return nil }

// stutter writes everything twice, from when it is told to: the first replies of gob
// have definitions of types, which must not come twice.
type stutter struct {
	io.ReadWriteCloser
	on *atomic.Bool
}

func (s stutter) Write(p []byte) (int, error) {
	if s.on.Load() {
		p = append(append([]byte(nil), p...), p...)
		n, err := s.ReadWriteCloser.Write(p)
		return n / 2, err
	}
	return s.ReadWriteCloser.Write(p)
}

// wires are formats with a client of ours and a server of net/rpc's, or of ours where
// it has none.
var wires = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	serve  func(*rpc.Server, io.ReadWriteCloser)
}{
	"gob":  {codec.NewGobClient, (*rpc.Server).ServeConn},
	"json": {codec.NewJSONClient, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(c)) }},
	"json2": {codec.NewJSON2Client, func(s *rpc.Server, c io.ReadWriteCloser) {
		s.ServeCodec(codec.NewJSON2Server(c))
	}},
}

// TestReplyThatComesTwice: ids that were given out and answered are ignored, as net/rpc
// does: the connection and all that waits on it live.
func TestReplyThatComesTwice(t *testing.T) {
	t.Parallel()
	for name, w := range wires {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer lis.Close()
			server, on, conns := rpc.NewServer(), new(atomic.Bool), new(atomic.Int64)
			require.NoError(t, server.Register(Patient{make(chan struct{})}))
			go func() {
				for {
					c, err := lis.Accept()
					if err != nil {
						return
					}
					conns.Add(1)
					go w.serve(server, stutter{c, on})
				}
			}()
			d := rpcx.Dialer{Codec: w.client, Heartbeat: -1} // pings may take another connection
			client, err := d.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			repeatedReplies(t, client, on)
			require.Equal(t, int64(1), conns.Load(), "the connection ended")
		})
	}
}

func repeatedReplies(t *testing.T, client *rpcx.Client, on *atomic.Bool) {
	// Each type is defined before anything comes twice.
	require.NoError(t, client.Call("Patient.Echo", 1, new(int)))
	require.NoError(t, client.Call("Patient.Text", "x", new(string)))
	require.Error(t, client.Call("Patient.Fail", "no", new(int)))
	on.Store(true)

	pending := client.Go("Patient.Wait", 7, new(int), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	require.ErrorIs(t, client.CallContext(ctx, "Patient.Wait", 8, new(int)), context.DeadlineExceeded)
	cancel()
	done := make(chan *rpc.Call, 20)
	for i := range cap(done) {
		client.Go("Patient.Echo", i, new(int), done)
	}
	for range cap(done) {
		call := <-done
		require.NoError(t, call.Error)
		require.Equal(t, call.Args, *call.Reply.(*int))
	}
	for i := range 20 { // duplicates are there when the next one is sent
		var n int
		require.NoError(t, client.Call("Patient.Echo", i, &n))
		require.Equal(t, i, n)
		require.EqualError(t, client.Call("Patient.Fail", "no", new(int)), "no")
		require.Error(t, client.Call("Patient.Text", "x", new(int)), "another type")
		require.Error(t, client.Call("Patient.None", i, new(int)))
	}
	for range 2 { // the answers to one that waits and one that was given up
		require.NoError(t, client.Call("Patient.Open", 1, new(int)))
	}
	require.NoError(t, (<-pending.Done).Error)
	require.Equal(t, 7, *pending.Reply.(*int))
	require.NoError(t, client.Call("Patient.Echo", 1, new(int)))
}

// TestReplyToANumberNotGivenOut: the call that it should have been to would wait for
// ever.
func TestReplyToANumberNotGivenOut(t *testing.T) {
	for _, answer := range []string{`{"id":%d,"result":1}`, `{"id":%d,"error":"no"}`, `{"id":%d,"result":NaN}`} {
		a, b := net.Pipe()
		d := rpcx.Dialer{Codec: codec.NewJSON2Client}
		client, err := d.NewClient(a)
		require.NoError(t, err)
		go func() {
			var r struct{ ID int }
			json.NewDecoder(b).Decode(&r) //nolint:errcheck // the test fails without
			fmt.Fprintf(b, answer, r.ID+1)
			io.Copy(io.Discard, b) //nolint:errcheck // until it ends
		}()
		err = client.Call("Any.Thing", 1, new(int))
		require.ErrorContains(t, err, "a request that was not made")
		client.Close()
		b.Close()
	}
}

// TestMalformedReplyIsItsCalls: one reply that is not JSON fails its call, with json's
// error, as executed; what waits beside it lives.
func TestMalformedReplyIsItsCalls(t *testing.T) {
	for name, value := range map[string]string{
		"NaN": "NaN", "Infinity": "[1,Infinity]", "zeros": "007", "path": `"C:\dir"`, "control": "\"\x01\"", "newline": "\"a\nb\"",
		"deep": strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	} {
		for _, client := range []func(io.ReadWriteCloser) rpc.ClientCodec{codec.NewJSONClient, codec.NewJSON2Client} {
			t.Run(name, func(t *testing.T) {
				a, b := tcpPair(t)
				d := rpcx.Dialer{Codec: client, Heartbeat: -1}
				c, err := d.NewClient(a)
				require.NoError(t, err)
				defer c.Close()
				go func() {
					requests := json.NewDecoder(b)
					var ids [3]int
					for range ids {
						var r struct {
							ID     int
							Method string
						}
						if requests.Decode(&r) != nil {
							return
						}
						ids[r.Method[0]-'A'] = r.ID
					}
					fmt.Fprintf(b, `{"id":%d,"result":%s}`+"\n", ids[1], value)
					fmt.Fprintf(b, `{"id":%d,"result":1}`+"\n"+`{"id":%d,"result":3}`+"\n", ids[0], ids[2])
				}()
				first := c.Go("A.M", 1, new(int), nil)
				second := c.Go("B.M", 1, new(any), nil)
				third := c.Go("C.M", 1, new(int), nil)
				require.NoError(t, (<-first.Done).Error)
				require.NoError(t, (<-third.Done).Error)
				err = (<-second.Done).Error
				require.ErrorAs(t, err, new(*json.SyntaxError))
				require.ErrorAs(t, err, new(*codec.DecodeError))
			})
		}
	}
}

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (a, b net.Conn) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	a, err = net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	b, err = lis.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
