package rpcx_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// jsonMessage is a JSON-RPC message of either version with all that it may hold.
type jsonMessage struct {
	Version string          `json:"jsonrpc,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
	ID      json.RawMessage `json:"id,omitempty"`
}

// A relay is a JSON-RPC service that does something of its own for each call, asks a
// service behind it, and passes on what it got.
type relay struct {
	pass  func(reply, id []byte) []byte
	pings bool // are passed on, too
	ran   atomic.Int64
}

func (r *relay) serve(t *testing.T, conn net.Conn, behind io.ReadWriter) {
	replies := bufio.NewReader(behind)
	for lines, id := bufio.NewScanner(conn), 1000; lines.Scan(); id++ {
		if len(lines.Bytes()) == 0 { // a client that doubts that this is JSON sends a line's end
			continue
		}
		var m jsonMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Error(err)
			return
		}
		if m.Method == "rpcx.Ping" && !r.pings {
			fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`+"\n", m.ID)
			continue
		}
		if m.Method != "rpcx.Ping" {
			r.ran.Add(1)
		}
		asked := m.ID
		m.ID = fmt.Append(nil, id)
		request, _ := json.Marshal(m)
		behind.Write(append(request, '\n')) //nolint:errcheck // the reply is missing then
		reply, err := replies.ReadBytes('\n')
		if err != nil {
			t.Error(err)
			return
		}
		conn.Write(r.pass(reply, asked)) //nolint:errcheck // the client has left
	}
}

// relays are the ways to pass on a reply.
var relays = map[string]func(reply, id []byte) []byte{
	"its error": func(reply, id []byte) []byte {
		var m jsonMessage
		json.Unmarshal(reply, &m) //nolint:errcheck // it is well-formed
		answer, _ := json.Marshal(jsonMessage{Version: m.Version, Result: m.Result, Error: m.Error, ID: id})
		return append(answer, '\n')
	},
	"its error as an object": func(reply, id []byte) []byte {
		var m struct{ Error any }
		json.Unmarshal(reply, &m) //nolint:errcheck // it is well-formed
		text, ok := m.Error.(string)
		if object, isObject := m.Error.(map[string]any); isObject {
			text, ok = object["message"].(string)
		}
		if !ok {
			text = "no error"
		}
		object, _ := json.Marshal(codec.Error{Code: codec.CodeMethodNotFound, Message: text, Data: json.RawMessage(`{"from":"behind"}`)})
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`+"\n", id, object)
	},
	"all of it but the id": func(reply, id []byte) []byte {
		var m map[string]json.RawMessage
		json.Unmarshal(reply, &m) //nolint:errcheck // it is well-formed
		m["id"] = id
		answer, _ := json.Marshal(m)
		return append(answer, '\n')
	},
	"its bytes with another id": func(reply, id []byte) []byte {
		var m jsonMessage
		json.Unmarshal(reply, &m) //nolint:errcheck // it is well-formed
		return bytes.Replace(reply, m.ID, id, 1)
	},
}

// drained is a Serve over a real socket that runs one call, has a connection to spare,
// and drains. It stops when open is closed.
type drained struct {
	open  chan struct{}
	spare []net.Conn // the first of them is not to spare
	ended chan error
}

func newDrained(t *testing.T, rcvr any, newCodec func(io.ReadWriteCloser) rpc.ServerCodec, client func(io.ReadWriteCloser) rpc.ClientCodec, spare int) *drained {
	t.Helper()
	d := &drained{open: make(chan struct{}), ended: make(chan error, 1)}
	gate := &Gate{open: d.open}
	gate.waiting.Add(1 + spare)
	server := rpc.NewServer()
	require.NoError(t, server.Register(gate))
	require.NoError(t, server.Register(rcvr))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	go func() { d.ended <- rpcx.Serve(ctx, lis, server, newCodec) }()
	for range 1 + spare { // a call that runs keeps each of them open
		conn, err := net.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		require.NoError(t, client(conn).WriteRequest(&rpc.Request{ServiceMethod: "Gate.Pass", Seq: 5000}, 0))
		d.spare = append(d.spare, conn)
	}
	gate.waiting.Wait()
	stop()
	for { // the listener is closed before the draining begins, which is awaited below
		conn, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	first := client(d.spare[0])
	for errmsg := ""; errmsg == ""; {
		require.NoError(t, first.WriteRequest(&rpc.Request{ServiceMethod: "Moody.Work", Seq: 1}, 1))
		var r rpc.Response
		require.NoError(t, first.ReadResponseHeader(&r))
		require.NoError(t, first.ReadResponseBody(nil))
		errmsg = r.Error
	}
	return d
}

func (d *drained) stop(t *testing.T) {
	t.Helper()
	close(d.open)
	for _, c := range d.spare {
		c.Close()
	}
	require.NoError(t, <-d.ended)
}

// A service that passes on the refusal of a draining server behind it has run: its
// refusal proves nothing (the call was repeated by the client as often as there were
// replicas of the service, and reported as not sent).
func TestRefusalFromAThirdPartyIsNoProof(t *testing.T) {
	const replicas = 5
	for version, codecs := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"json":  {codec.NewJSONClient, codec.NewJSONServer},
		"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
	} {
		for name, pass := range relays {
			for _, pings := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/pings=%v", version, name, pings), func(t *testing.T) {
					leak.Check(t)
					behind := newDrained(t, new(Moody), codecs.server, codecs.client, replicas)
					defer behind.stop(t)
					r := &relay{pass: pass, pings: pings}
					var addresses []string
					for i := range replicas {
						lis, err := net.Listen("tcp", "127.0.0.1:0")
						require.NoError(t, err)
						defer lis.Close()
						addresses = append(addresses, lis.Addr().String())
						go func() {
							for {
								conn, err := lis.Accept()
								if err != nil {
									return
								}
								go func() {
									defer conn.Close()
									r.serve(t, conn, behind.spare[1+i])
								}()
							}
						}()
					}
					d := rpcx.Dialer{Codec: codecs.client}
					c, err := d.Dial("tcp", addresses...)
					require.NoError(t, err)
					defer c.Close()
					for i := range 3 {
						err = c.Call("Moody.Work", 1, new(int))
						require.ErrorContains(t, err, "did not run the method", "it is an error of the method")
						var ce *rpcx.CallError
						require.False(t, errors.As(err, &ce) && ce.Sent != rpcx.Executed, "%v", err)
						require.EqualValues(t, i+1, r.ran.Load())
					}
				})
			}
		}
	}
}

// A draining Serve loses no call of a client of ours that is not idempotent, whether it
// is on a busy connection or the first one of a connection.
func TestRefusalOfThePeerItselfIsProof(t *testing.T) {
	t.Parallel()
	for name, c := range codecs {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/busy=%v", name, busy), func(t *testing.T) {
				inFleet(t, 0, func(t *testing.T, f *fleet) {
					f.addrs, f.dialer.Codec = []string{"s:1", "s:2"}, c.client
					var stops [2]func() error
					for i, a := range f.addrs {
						stops[i] = serving(t, f.Listen(a), &Bank{name: a, ledger: f.ledger}, c.server)
					}
					client := f.dial()
					slow := make(chan *rpcx.Call, 4)
					if busy {
						for range cap(slow) {
							client.Go("Bank.Sleep", 5*time.Second, new(string), slow)
						}
						synctest.Wait()
					}
					ended := make(chan error, 1)
					go func() { ended <- stops[0]() }()
					synctest.Wait()
					for i := range 20 {
						require.NoError(t, client.Call("Bank.Deposit", Deposit{ID: i}, new(int)))
						require.Equal(t, 1, f.ledger.count(i))
					}
					for range len(slow) {
						require.NoError(t, (<-slow).Error)
					}
					require.NoError(t, <-ended)
					require.NoError(t, client.Close())
					require.NoError(t, stops[1]())
				})
			})
		}
	}
}

// A method may say the same words.
func TestRefusalInTheWordsOfAMethodIsNoProof(t *testing.T) {
	t.Parallel()
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 0, func(t *testing.T, f *fleet) {
				f.addrs, f.dialer.Codec = []string{"s:1", "s:2"}, c.client
				var stops []func() error
				for _, a := range f.addrs {
					stops = append(stops, serving(t, f.Listen(a), &Bank{name: a, ledger: f.ledger}, c.server))
				}
				var attempts []rpcx.AttemptInfo
				f.dialer.Trace = &rpcx.ClientTrace{AttemptDone: func(_ context.Context, a rpcx.AttemptInfo) { attempts = append(attempts, a) }}
				client := f.dial()
				words := "rpcx: the server is draining and did not run the method"
				require.EqualError(t, client.Call("Bank.Refuse", words, new(struct{})), words)
				require.Len(t, attempts, 1)
				require.Equal(t, rpcx.Executed, attempts[0].Sent)
				require.NoError(t, client.Close())
				for _, stop := range stops {
					require.NoError(t, stop())
				}
			})
		})
	}
}
