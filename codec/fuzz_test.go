package codec_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"

	"resilientrpc/codec"
)

// heapAllocs returns the bytes allocated so far.
func heapAllocs() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// bounded fails the test if reading n bytes has allocated too much. Package gob allocates
// up to 10 MiB for a slice by its length, and its elements may be slices.
func bounded(t *testing.T, before uint64, n int) {
	if got, most := heapAllocs()-before, uint64(32<<20+4000*n); got > most {
		t.Fatalf("%d bytes read, %d allocated", n, got)
	}
}

// gobBodies are the types that fuzzed bodies are decoded into. None but the last
// two can make package gob allocate a map of an announced size.
var gobBodies = []func() any{
	func() any { return new(Plain) },
	func() any { return new(Tree) },
	func() any { return new(Loose) },
	func() any { return new([]any) },
	func() any { return new(Box) },
	func() any { return new(string) },
	func() any { return new(Partial) },
	func() any { return new(map[string]int) },
	func() any { return new(Rich) },
}

// longMethod is the length at which names of methods are cut.
const longMethod = 4 << 10

const gobMaps = 7 // the index of the first that has maps

// frames encodes pairs of headers and bodies.
func frames(pairs ...any) []byte {
	var b bytes.Buffer
	enc := gob.NewEncoder(&b)
	for _, v := range pairs {
		if err := enc.Encode(v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func gobSeeds(f *testing.F, header func(seq uint64) any) {
	rich := richValue()
	for i, body := range []any{rich.Plain, rich.Tree, Loose{Square{2}}, []any{"x", Square{1}, Loose{}.Any}, Box{Inner: &Box{Any: rich.Plain}}, "text", Partial{A: 1}, map[string]int{"a": 1}, rich} {
		f.Add(frames(header(1), body, header(0), body), uint8(i))
		f.Add(frames(header(1<<40), struct{}{}, header(2), body), uint8(i))
	}
}

// FuzzGobReplies reads replies with our client codec and with a gob.Decoder.
func FuzzGobReplies(f *testing.F) {
	gobSeeds(f, func(seq uint64) any { return rpc.Response{ServiceMethod: "Echo.Plain", Seq: seq} })
	f.Add(replies(f, gobFormat), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		kind %= uint8(len(gobBodies))
		c := codec.Gob{MaxFrame: 1 << 20}.NewClient(play(data))
		sameAsGob(t, data, kind, func(body any) (h gobHeader, err, bodyErr error) {
			var r rpc.Response
			err = c.ReadResponseHeader(&r)
			if err == nil {
				bodyErr = c.ReadResponseBody(body)
			}
			return gobHeader{r.ServiceMethod, r.Error, r.Seq}, err, bodyErr
		}, func(dec *gob.Decoder) (gobHeader, error) {
			var r rpc.Response
			err := dec.Decode(&r)
			return gobHeader{r.ServiceMethod, r.Error, r.Seq}, err
		})
	})
}

// FuzzGobRequests reads requests with our server codec and with a gob.Decoder.
func FuzzGobRequests(f *testing.F) {
	gobSeeds(f, func(seq uint64) any { return rpc.Request{ServiceMethod: "Echo.Plain", Seq: seq} })
	f.Add(requests(f, gobFormat), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		kind %= uint8(len(gobBodies))
		s := codec.Gob{MaxFrame: 1 << 20}.NewServer(play(data))
		sameAsGob(t, data, kind, func(body any) (h gobHeader, err, bodyErr error) {
			var r rpc.Request
			err = s.ReadRequestHeader(&r)
			if err == nil {
				bodyErr = s.ReadRequestBody(body)
			}
			return gobHeader{r.ServiceMethod, "", r.Seq}, err, bodyErr
		}, func(dec *gob.Decoder) (gobHeader, error) {
			var r rpc.Request
			err := dec.Decode(&r)
			return gobHeader{r.ServiceMethod, "", r.Seq}, err
		})
	})
}

type gobHeader struct {
	method, errmsg string
	seq            uint64
}

// sameAsGob reads pairs twice. This package must accept the pairs that package gob accepts,
// with the same result. For bodies with maps, package gob must accept those that this
// package accepts, because others may need too much memory in package gob.
func sameAsGob(t *testing.T, data []byte, kind uint8,
	ours func(body any) (h gobHeader, err, bodyErr error), theirs func(*gob.Decoder) (gobHeader, error),
) {
	dec := gob.NewDecoder(bytes.NewReader(data))
	for {
		body, want := gobBodies[kind](), gobBodies[kind]()
		before := heapAllocs()
		h, err, bodyErr := ours(body)
		bounded(t, before, len(data))
		if kind >= gobMaps && (err != nil || bodyErr != nil) || reserved(err) || reserved(bodyErr) {
			return
		}
		wantH, wantErr := theirs(dec)
		if wantErr != nil {
			return // our headers may be more tolerant
		}
		if wantErr = dec.Decode(want); wantErr != nil {
			if err == nil && bodyErr == nil {
				t.Fatalf("gob refuses a body that we accept: %v", wantErr)
			}
			return
		}
		if err != nil || bodyErr != nil {
			t.Fatalf("gob accepts what we refuse: header %v, body %v", err, bodyErr)
		}
		if len(wantH.method) > longMethod {
			wantH.method = wantH.method[:longMethod] + "..."
		}
		if h != wantH {
			t.Fatalf("header %+v, want %+v", h, wantH)
		}
		if !reflect.DeepEqual(body, want) && !hasNaN(body) {
			t.Fatalf("body %+v, want %+v", body, want)
		}
	}
}

// reserved reports whether an error is for input that a gob.Decoder accepts but no
// gob.Encoder sends: gob's own types, types of several kinds or none, maps with more entries
// than bytes, and malformed values in interfaces that the decoder skips.
func reserved(err error) bool {
	if err == nil {
		return false
	}
	for _, text := range []string{"gob uses for type definitions", "of several kinds", "not defined", "in an interface", "more elements than bytes", "unexpected EOF"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// hasNaN reports whether a value contains NaN, which is not equal to itself. A value decoded
// by gob is a tree, so the search ends.
func hasNaN(v any) bool { return findsNaN(reflect.ValueOf(v)) }

func findsNaN(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return v.CanInterface() && v.Interface() != v.Interface() //nolint:staticcheck // that is the test
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && findsNaN(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if findsNaN(v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if findsNaN(v.Field(i)) {
				return true
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if findsNaN(k) || findsNaN(v.MapIndex(k)) {
				return true
			}
		}
	}
	return false
}

// FuzzJSONReplies reads replies with our client codecs and with a json.Decoder.
func FuzzJSONReplies(f *testing.F) {
	f.Add(replies(f, jsonFormat))
	for _, s := range []string{
		`{"id":1,"result":5}{"id":"2","result":null,"error":{"code":1,"message":"m","data":[1]}}`,
		`{"id":null,"error":"x"}`, "{\"id\" : 1,\n\"result\":\"\\u00e9\\\"}\"}\n\n[]", `{"method":"m","params":{}}{"ID":3}`,
		"{\"result\":\"C:\\dir \n}\",\"x\":[NaN,{}],\"id\":1}\n\ufeff{\"id\":2,\"result\":7}", `{"id":1,"result":3,14}{"id":2,"id":2,"result":5,"error":false}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for version, make := range jsonVersions {
			c := make(play(data))
			dec := json.NewDecoder(bytes.NewReader(data))
			before := heapAllocs()
			for {
				var r rpc.Response
				err := c.ReadResponseHeader(&r)
				bounded(t, before, len(data))
				want, wantErr := decodeReply(dec, version == "2.0")
				if err != nil {
					break // replies without an id of ours, for instance
				}
				var got json.RawMessage
				err = c.ReadResponseBody(&got)
				if err == nil && !json.Valid(got) {
					t.Fatalf("accepted what is not JSON: %s", got)
				}
				if wantErr != nil { // a json.Decoder cannot go on, and knows no byte order mark
					break
				}
				if !null(want.Result) && !bytes.Equal(got, want.Result) {
					t.Fatalf("result %s, want %s (%v)", got, want.Result, err)
				}
				if id := strings.Trim(string(want.ID), `"`); r.Error == "" && id != fmt.Sprint(r.Seq) && id != fmt.Sprint(r.Seq)+".0" {
					t.Fatalf("id %s, read as %d", want.ID, r.Seq)
				}
				if (r.Error == "") != want.ok(version == "2.0") {
					t.Fatalf("error %s, read as %q", want.Error, r.Error)
				}
			}
		}
	})
}

type jsonReply struct {
	ID     json.RawMessage `json:"id"`
	Method json.RawMessage `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// ok reports whether the error is none.
func (r *jsonReply) ok(exact bool) bool {
	switch string(r.Error) {
	case "false", "0", `""`:
		return exact && r.Result != nil || !null(r.Result)
	}
	return null(r.Error)
}

// decodeReply skips requests from the peer and replies that the client ignores.
func decodeReply(dec *json.Decoder, exact bool) (r jsonReply, err error) {
	for {
		r = jsonReply{}
		if exact {
			var m map[string]json.RawMessage
			err = dec.Decode(&m)
			r = jsonReply{m["id"], m["method"], m["result"], m["error"]}
		} else {
			err = dec.Decode(&r)
		}
		reply := r.Result != nil || !null(r.Error)
		if err != nil || reply && !null(r.ID) || !reply && r.Method == nil {
			return r, err
		}
	}
}

func null(m json.RawMessage) bool { return m == nil || string(m) == "null" }

// quiet is a service without side effects for fuzzed requests.
type quiet struct{}

func (q *quiet) Echo(in any, out *any) error { *out = in; return nil }

// FuzzJSONRequests serves fuzzed requests with both versions, and version 1.0
// also with the stock server codec, whose answers ours must equal until the
// stock one hangs up.
func FuzzJSONRequests(f *testing.F) {
	f.Add(requests(f, jsonFormat))
	for _, s := range []string{
		`{"method":"Q.Echo","params":[{"a":[1,"<é>"]}],"id":"x"}`, `[1,{"jsonrpc":"2.0","method":"Q.Echo","params":{"a":1},"id":1}]`,
		`{"jsonrpc":"2.0","method":"Q.Echo","params":[1,2]}` + "\n" + `{"jsonrpc":"2.0","method":"Q.Echo","id":null}`,
		`{"jsonrpc":"2.0","method":"Q.Echo","params":[[]],"id":"` + "\n" + `{"jsonrpc":"2.0","method":"x","id":7}`, "nonsense\n[]\n[[]]",
	} {
		f.Add([]byte(s))
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Q", new(quiet)); err != nil {
		f.Fatal(err)
	}
	// answers are those to the requests one after the other.
	answers := func(codec func(io.ReadWriteCloser) rpc.ServerCodec, requests []byte) [][]byte {
		conn := play(requests)
		c := &ending{ServerCodec: codec(conn)}
		for c.err == nil {
			server.ServeRequest(c) //nolint:errcheck // c knows
		}
		return conn.writes
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = objects(data)
		before := heapAllocs()
		for _, answer := range answers(codec.NewJSON2Server, data) {
			if !json.Valid(answer) || bytes.Count(answer, []byte("\n")) != 1 {
				t.Fatalf("malformed answer %q", answer)
			}
		}
		ours := answers(codec.NewJSONServer, data)
		bounded(t, before, len(data))
		for i, want := range answers(jsonrpc.NewServerCodec, data) {
			if i >= len(ours) || !bytes.Equal(ours[i], want) && len(want) < longMethod {
				t.Fatalf("answer %d: %q, want %q", i, ours, want)
			}
		}
	})
}

// objects returns the input up to the first null, which the stock server reads as a request.
func objects(data []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var m json.RawMessage
		if dec.Decode(&m) != nil {
			return data
		}
		if string(m) == "null" {
			return data[:dec.InputOffset()-int64(len("null"))]
		}
	}
}

// ending records the error that ended the stream of requests.
type ending struct {
	rpc.ServerCodec
	err error
}

func (e *ending) ReadRequestHeader(r *rpc.Request) error {
	e.err = e.ServerCodec.ReadRequestHeader(r)
	return e.err
}
