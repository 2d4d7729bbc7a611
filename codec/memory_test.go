package codec_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

const (
	hugeSize  = codec.KeepMost * 3 / 2 // no buffer of this size is kept
	mayRemain = codec.KeepMost
	maxFrame  = 3 * hugeSize // of the connections
)

// heap returns the bytes that can be reached.
func heap() int64 {
	for range 2 { // pools let go at the second collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Clumsy has a long field before one that cannot be encoded.
type Clumsy struct {
	S   string
	Bad Bad
}

// An errand is a request and its reply.
type errand struct {
	method  string
	arg     any
	failure string
	result  any
	unsent  bool // it cannot be encoded
}

// errands have something huge in each place.
func errands(text string) map[string]errand {
	return map[string]errand{
		"method":               {method: text, arg: 1, result: 1},
		"unknown method":       {method: text, arg: 1, failure: "rpc: can't find it"},
		"argument":             {method: "A.B", arg: text, result: 1},
		"struct":               {method: "A.B", arg: Plain{S: text, L: []string{"x"}}, result: Plain{S: text}},
		"pointer":              {method: "A.B", arg: &Plain{S: text}, result: &Plain{S: text}},
		"result":               {method: "A.B", arg: 1, result: text},
		"error text":           {method: "A.B", arg: 1, failure: text},
		"unencodable argument": {method: "A.B", arg: Clumsy{text, Bad{"error"}}, unsent: true},
		"panicking argument":   {method: "A.B", arg: Clumsy{text, Bad{"panic"}}, unsent: true},
		"frame too large":      {method: "A.B", arg: strings.Repeat("x", maxFrame+1), unsent: true},
		"unencodable result":   {method: "A.B", arg: 1, result: Clumsy{text, Bad{"error"}}},
	}
}

// TestIdleConnectionsAreSmall: an idle connection holds little memory after a large message
// of any kind.
func TestIdleConnectionsAreSmall(t *testing.T) {
	text := strings.Repeat("x", hugeSize)
	for name, x := range map[string]ends{
		"gob":      {newClient: codec.Gob{MaxFrame: maxFrame}.NewClient, newServer: codec.NewGobServer},
		"json 1.0": {newClient: codec.JSON{MaxFrame: maxFrame}.NewClient, newServer: codec.NewJSONServer},
		"json 2.0": {newClient: codec.JSON2{MaxFrame: maxFrame}.NewClient, newServer: codec.JSON2{MaxBatch: -1}.NewServer},
	} {
		for what, e := range errands(text) {
			// JSON has no encoder that remembers types, and its versions have the same buffers.
			if name == "json 1.0" && what != "method" && what != "error text" || name == "json 2.0" && (what == "struct" || what == "pointer") {
				continue
			}
			t.Run(name+"/"+what, func(t *testing.T) { x.run(t, e, text) })
		}
		if name == "json 2.0" { // for gob see doc.go
			t.Run(name+"/interface", func(t *testing.T) {
				x.run(t, errand{method: "A.B", arg: Loose{text}, result: Loose{text}}, text)
			})
		}
	}
}

// ends are both ends of a connection. Each waits for its next message as soon as it
// has dealt with one.
type ends struct {
	newClient func(io.ReadWriteCloser) rpc.ClientCodec
	newServer func(io.ReadWriteCloser) rpc.ServerCodec

	client   rpc.ClientCodec
	requests chan errand   // what the server is to receive
	replies  chan errand   // what the client is to receive
	done     chan struct{} // a reply was received
	seq      uint64
}

// run measures the memory that a connection holds after an errand.
func (x ends) run(t *testing.T, e errand, text string) {
	a, b := net.Pipe()
	x.client, x.requests, x.replies, x.done = x.newClient(a), make(chan errand, 1), make(chan errand, 1), make(chan struct{})
	ended := make(chan struct{}, 2)
	go func() { x.receive(); ended <- struct{}{} }()
	go func() { x.serve(x.newServer(b)); ended <- struct{}{} }()
	defer func() { a.Close(); b.Close(); <-ended; <-ended }()
	usual := errand{method: "A.B", arg: Plain{S: "small"}, result: Plain{S: "small"}}
	for range 2 {
		x.call(t, usual)
	}

	before := heap()
	x.call(t, e)
	remains(t, before)
	// It lives, and each encoder knows which types its peer knows.
	x.call(t, usual)
	x.call(t, errand{method: "A.B", arg: Loose{Square{1}}, result: Loose{Square{2}}})
	x.call(t, usual)
	runtime.KeepAlive(text)
}

// remains waits for what is left of the memory to be little.
func remains(t *testing.T, before int64) {
	t.Helper()
	require.Eventually(t, func() bool { return heap()-before < mayRemain }, 20*time.Second, time.Millisecond)
}

func (x *ends) call(t *testing.T, e errand) {
	if e.unsent {
		require.Error(t, x.client.WriteRequest(&rpc.Request{ServiceMethod: e.method, Seq: 1000}, e.arg))
		return
	}
	x.seq++
	x.requests <- e
	x.replies <- e
	require.NoError(t, x.client.WriteRequest(&rpc.Request{ServiceMethod: e.method, Seq: x.seq}, e.arg))
	<-x.done
}

// into returns where a value like v is decoded to, nil for nothing.
func into(v any) any {
	if v == nil {
		return nil
	}
	return reflect.New(reflect.TypeOf(v)).Interface()
}

func (x *ends) receive() {
	var r rpc.Response
	for {
		if r = (rpc.Response{}); x.client.ReadResponseHeader(&r) != nil {
			return
		}
		var to any
		if e := <-x.replies; r.Error == "" {
			to = into(e.result)
		}
		x.client.ReadResponseBody(to) //nolint:errcheck // some are to fail
		x.done <- struct{}{}
	}
}

func (x *ends) serve(s rpc.ServerCodec) {
	var r rpc.Request
	for {
		if r = (rpc.Request{}); s.ReadRequestHeader(&r) != nil {
			return
		}
		e := <-x.requests
		s.ReadRequestBody(into(e.arg)) //nolint:errcheck // some are to fail
		response := &rpc.Response{ServiceMethod: r.ServiceMethod, Seq: r.Seq, Error: e.failure}
		r = rpc.Request{}
		if e.failure != "" {
			e.result = struct{}{}
		}
		s.WriteResponse(response, e.result) //nolint:errcheck // likewise
		response, e = nil, errand{}
	}
}

// TestIdleJSONIsSmall has large messages in forms that this package does not send.
func TestIdleJSONIsSmall(t *testing.T) {
	text := strings.Repeat("x", hugeSize)
	nested := strings.Repeat("[", hugeSize/2) + strings.Repeat("]", hugeSize/2)
	for name, reply := range map[string]string{
		"nested":     `{"id":1,"result":` + nested + `}`,
		"error data": `{"id":1,"error":{"code":1,"message":"` + text + `","data":"` + text + `"}}`,
		"malformed":  `{"id":1,"result":NaN,"x":"` + text + `"}`,
		"a request":  `{"method":"x","params":["` + text + `"]}{"id":1,"result":5}`,
		"stray":      `{"id":77,"result":"` + text + `"}`,
		"spaces":     strings.Repeat(" ", hugeSize) + `{"id":1,"result":5}`,
	} {
		t.Run("client/"+name, func(t *testing.T) {
			a, b := net.Pipe()
			c, read := codec.NewJSON2Client(a), make(chan struct{})
			go func() {
				defer close(read)
				for c.ReadResponseHeader(new(rpc.Response)) == nil {
					c.ReadResponseBody(new(any)) //nolint:errcheck // some are to fail
					read <- struct{}{}
				}
			}()
			before := heap()
			io.WriteString(b, reply) //nolint:errcheck // the test hangs without
			<-read
			remains(t, before)
			b.Close()
			<-read
			runtime.KeepAlive(c)
		})
	}
	request := func(params string) string { return `{"jsonrpc":"2.0","method":"A.B","params":` + params + `,"id":1}` }
	batch := func(request string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(request+",", n), ",") + "]"
	}
	for name, requests := range map[string]string{
		"id":            `{"jsonrpc":"2.0","method":"A.B","params":[1],"id":"` + text + `"}`,
		"nested":        request(nested),
		"batch":         batch(request(`["`+text[:hugeSize/4]+`"]`), 4),
		"batch of many": batch(request(`["`+text[:200]+`"]`), 5_000),
		"empty batch":   "[" + strings.Repeat(" ", hugeSize) + "]",
		"no request":    `{"x":"` + text + `"}`,
	} {
		t.Run("server/"+name, func(t *testing.T) {
			a, b := net.Pipe()
			s, served := codec.JSON2{MaxBatch: -1}.NewServer(b), make(chan struct{})
			go func() {
				defer close(served)
				var r rpc.Request
				for {
					if r = (rpc.Request{}); s.ReadRequestHeader(&r) != nil {
						return
					}
					s.ReadRequestBody(new(any))                            //nolint:errcheck // some are to fail
					s.WriteResponse(&rpc.Response{Seq: r.Seq}, text[:200]) //nolint:errcheck // the test hangs without
				}
			}()
			before := heap()
			go io.WriteString(a, requests+"\n") //nolint:errcheck // likewise
			bufio.NewReader(a).ReadString('\n') //nolint:errcheck // likewise
			remains(t, before)
			a.Close()
			<-served
			runtime.KeepAlive(s)
		})
	}
	runtime.KeepAlive(text)
	runtime.KeepAlive(nested)
}

// TestIdleAfterMany: a connection on which very many requests have waited at once.
func TestIdleAfterMany(t *testing.T) {
	const many = 15_000
	conn := new(piecewise)
	conn.add(strings.Repeat(`{"jsonrpc":"2.0","method":"A.B","id":1}`, many))
	before := heap()
	s := codec.NewJSON2Server(conn)
	for range many {
		require.NoError(t, s.ReadRequestHeader(new(rpc.Request)))
		require.NoError(t, s.ReadRequestBody(nil))
	}
	c := codec.NewJSON2Client(conn)
	for seq := range uint64(many) {
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq}, 1))
	}
	require.Greater(t, heap()-before, int64(2*mayRemain))
	for seq := range uint64(many) {
		require.NoError(t, s.WriteResponse(&rpc.Response{Seq: seq + 1}, 1))
		conn.add(fmt.Sprintf(`{"id":%d,"result":1}`, seq))
		require.NoError(t, c.ReadResponseHeader(new(rpc.Response)))
	}
	remains(t, before)
	runtime.KeepAlive(s)
	runtime.KeepAlive(c)
}

// TestLongMethodName: net/rpc's server keeps little of a long name, and the reply is short.
func TestLongMethodName(t *testing.T) {
	for _, f := range append(formats, format{name: "json2", client: codec.NewJSON2Client, server: codec.NewJSON2Server}) {
		for _, name := range []string{strings.Repeat("x", hugeSize), "Echo.Int" + strings.Repeat("x", hugeSize)} {
			a, b := tcpPipe(t)
			s := join(t, a, b, f.ourClient, f.ourServer)
			require.NoError(t, s.Call("Echo.Int", 1, new(int)))
			err := s.Call(name, 1, new(int))
			require.ErrorContains(t, err, "rpc: ", f.name)
			require.Less(t, len(err.Error()), 8<<10)
			good(t, s.Client)
		}
	}
}
