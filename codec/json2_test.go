package codec_test

import (
	"encoding/json"
	"io"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Sum and its like are the methods of the specification's examples.
type Spec struct{ notified *atomic.Int64 }

type Operands struct {
	Minuend    int `json:"minuend"`
	Subtrahend int `json:"subtrahend"`
}

func (Spec) Subtract(in Operands, out *int) error { *out = in.Minuend - in.Subtrahend; return nil }

func (Spec) Sum(in []int, out *int) error {
	for _, n := range in {
		*out += n
	}
	return nil
}

func (s Spec) Update(in []int, out *Nothing) error { s.notified.Add(1); return nil }

func (Spec) Data(in Nothing, out *[]any) error { *out = []any{"hello", 5}; return nil }

func serve2(t *testing.T, j codec.JSON2, requests string) (answers []string, notified int64) {
	conn := play([]byte(requests))
	server, n := newServer(), new(atomic.Int64)
	require.NoError(t, server.RegisterName("Spec", Spec{n}))
	server.ServeCodec(j.NewServer(conn))
	for _, w := range conn.writes {
		answers = append(answers, strings.TrimSuffix(string(w), "\n"))
	}
	return answers, n.Load()
}

const (
	parseError = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}`
	emptyBatch = `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request: the batch is empty or too long"},"id":null}`
	noObject   = `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request: not an object"},"id":null}`
)

func invalid(reason, id string) string {
	m, _ := json.Marshal("Invalid Request: " + reason) //nolint:errcheck // a string
	return `{"jsonrpc":"2.0","error":{"code":-32600,"message":` + string(m) + `},"id":` + id + `}`
}

// TestJSON2Server has the examples of the specification, section 7, and more.
func TestJSON2Server(t *testing.T) {
	result := func(result, id string) string { return `{"jsonrpc":"2.0","result":` + result + `,"id":` + id + `}` }
	missing := func(method, id string) string {
		return `{"jsonrpc":"2.0","error":{"code":-32601,"message":"rpc: can't find service ` + method + `"},"id":` + id + `}`
	}
	// What comes behind these is not read.
	last := map[string]bool{"invalid JSON": true, "batch, invalid JSON": true, "a word": true, "a number": true}
	tests := map[string]struct{ request, answer string }{
		"positional":          {`{"jsonrpc": "2.0", "method": "Spec.Subtract", "params": [42, 23], "id": 1}`, result("19", "1")},
		"positional, turned":  {`{"jsonrpc": "2.0", "method": "Spec.Subtract", "params": [23, 42], "id": 2}`, result("-19", "2")},
		"named":               {`{"jsonrpc": "2.0", "method": "Spec.Subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}`, result("19", "3")},
		"notification":        {`{"jsonrpc": "2.0", "method": "Spec.Update", "params": [1,2,3,4,5]}`, ""},
		"failed notification": {`{"jsonrpc": "2.0", "method": "foobar"}`, ""},
		"no such method":      {`{"jsonrpc": "2.0", "method": "foo.bar", "id": "1"}`, missing("foo.bar", `"1"`)},
		"invalid JSON":        {`{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]`, parseError},
		"invalid request":     {`{"jsonrpc": "2.0", "method": 1, "params": "bar"}`, invalid("method is not a string", "null")},
		"batch, invalid JSON": {`[
			{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
			{"jsonrpc": "2.0", "method"
		]`, parseError},
		"empty batch":        {`[]`, emptyBatch},
		"invalid batch":      {`[1]`, "[" + noObject + "]"},
		"invalid batch of 3": {`[1,2,3]`, "[" + noObject + "," + noObject + "," + noObject + "]"},
		"batch": {`[
			{"jsonrpc": "2.0", "method": "Spec.Sum", "params": [1,2,4], "id": "1"},
			{"jsonrpc": "2.0", "method": "Spec.Update", "params": [7]},
			{"jsonrpc": "2.0", "method": "Spec.Subtract", "params": [42,23], "id": "2"},
			{"foo": "boo"},
			{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
			{"jsonrpc": "2.0", "method": "Spec.Data", "id": "9"}
		]`, "[" + result("7", `"1"`) + "," + result("19", `"2"`) + "," + invalid(`jsonrpc is not "2.0"`, "null") + "," +
			missing("foo.get", `"5"`) + "," + result(`["hello",5]`, `"9"`) + "]"},
		"batch of notifications": {`[{"jsonrpc": "2.0", "method": "Spec.Update", "params": [1]},{"jsonrpc": "2.0", "method": "Spec.Update", "params": [7]}]`, ""},

		"null id":           {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":null}`, result("1", "null")},
		"fractional id":     {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":-1.5e3}`, result("1", "-1.5e3")},
		"large id":          {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":123456789012345678901234567890}`, result("1", "123456789012345678901234567890")},
		"string id":         {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":"\u00e9\" x"}`, result("1", `"\u00e9\" x"`)},
		"object id":         {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":{}}`, invalid("id is not a string, a number or null", "null")},
		"bool id":           {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":true}`, invalid("id is not a string, a number or null", "null")},
		"version 1.0":       {`{"method":"Spec.Sum","params":[1],"id":4}`, invalid(`jsonrpc is not "2.0"`, "4")},
		"version 1":         {`{"jsonrpc":1.0,"method":"Spec.Sum","params":[1],"id":4}`, invalid(`jsonrpc is not "2.0"`, "4")},
		"number version":    {`{"jsonrpc":2.0,"method":"Spec.Sum","params":[1],"id":4}`, result("1", "4")},
		"shortened version": {`{"jsonrpc":2,"method":"Spec.Sum","params":[1],"id":4}`, result("1", "4")},
		"scalar params":     {`{"jsonrpc":"2.0","method":"Spec.Sum","params":1,"id":4}`, invalid("params is neither an object nor an array", "4")},
		"a reply's members": {`{"jsonrpc":"2.0","method":"Spec.Sum","result":1,"id":4}`, invalid("a reply's members", "4")},
		"null params":       {`{"jsonrpc":"2.0","method":"Spec.Sum","params":null,"id":4}`, result("0", "4")},
		"extra members":     {`{"jsonrpc":"2.0","x":[{}],"method":"Spec.Sum","params":[1],"id":4}`, result("1", "4")},
		"exact names":       {`{"jsonrpc":"2.0","Method":"Spec.Sum","params":[1],"id":4}`, invalid("method is not a string", "4")},
		"escaped":           {`{"jsonrpc":"2.0","m\u0065thod":"Spec.\u0053um","params":[1],"id":4}`, result("1", "4")},
		"fewer positional":  {`{"jsonrpc":"2.0","method":"Spec.Subtract","params":[1],"id":4}`, result("1", "4")},
		"more positional": {
			`{"jsonrpc":"2.0","method":"Spec.Subtract","params":[1,2,3],"id":4}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"codec: more positional parameters than the argument has fields"},"id":4}`,
		},
		"wrong type": {
			`{"jsonrpc":"2.0","method":"Spec.Subtract","params":["x"],"id":4}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"json: cannot unmarshal string into Go value of type int"},"id":4}`,
		},
		"two scalars": {
			`{"jsonrpc":"2.0","method":"Echo.Int","params":[1,2],"id":4}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"codec: 2 positional parameters, want 1"},"id":4}`,
		},
		"a scalar":           {`{"jsonrpc":"2.0","method":"Echo.Int","params":[7],"id":4}`, result("7", "4")},
		"a time":             {`{"jsonrpc":"2.0","method":"Echo.Time","params":["2020-01-02T03:04:05Z"],"id":4}`, result(`"2020-01-02T03:04:05Z"`, "4")},
		"a text":             {`{"jsonrpc":"2.0","method":"Echo.Opaque","params":["x"],"id":4}`, result(`"x"`, "4")},
		"a map":              {`{"jsonrpc":"2.0","method":"Echo.Map","params":{"a":1},"id":4}`, result(`{"a":1}`, "4")},
		"net/rpc's struct":   {`{"jsonrpc":"2.0","method":"Spec.Subtract","params":[{"minuend":3}],"id":4}`, result("3", "4")},
		"net/rpc's slice":    {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[[1,2]],"id":4}`, result("3", "4")},
		"net/rpc's map":      {`{"jsonrpc":"2.0","method":"Echo.Map","params":[{"a":1}],"id":4}`, result(`{"a":1}`, "4")},
		"method's error":     {`{"jsonrpc":"2.0","method":"Echo.Fail","params":["<it> failed"],"id":4}`, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"\u003cit\u003e failed"},"id":4}`},
		"unencodable":        {`{"jsonrpc":"2.0","method":"Echo.Make","params":["error"],"id":4}`, `{"jsonrpc":"2.0","error":{"code":-32603,"message":"codec: the reply cannot be sent: json: error calling MarshalJSON for type codec_test.Bad: Bad fails"},"id":4}`},
		"unencodable, batch": {`[{"jsonrpc":"2.0","method":"Echo.Make","params":["error"],"id":4}]`, `[{"jsonrpc":"2.0","error":{"code":-32603,"message":"codec: the reply cannot be sent: json: error calling MarshalJSON for type codec_test.Bad: Bad fails"},"id":4}]`},
		"batch within batch": {`[[]]`, "[" + noObject + "]"},
		"a word":             {"hello", parseError},
		"malformed line":     {`{"jsonrpc":"2.0","method":"Spec.Sum","params":[007],"id":4}`, parseError},
		"byte order mark":    {"\ufeff" + `{"jsonrpc":"2.0","method":"Spec.Sum","params":[1],"id":4}`, result("1", "4")},
		"a number":           {"5", parseError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answers, _ := serve2(t, codec.JSON2{}, test.request+"\n"+`{"jsonrpc":"2.0","method":"Spec.Sum","params":[9],"id":"behind"}`)
			behind := result("9", `"behind"`)
			if last[name] {
				require.Equal(t, []string{test.answer}, answers)
				return
			}
			require.Contains(t, answers, behind)
			if test.answer == "" {
				require.Len(t, answers, 1)
				return
			}
			if !strings.HasPrefix(test.answer, "[") || name != "batch" {
				require.Contains(t, answers, test.answer)
			} else {
				requireSameBatch(t, test.answer, without(answers, behind))
			}
		})
	}
}

func without(answers []string, last string) string {
	for _, a := range answers {
		if a != last {
			return a
		}
	}
	return ""
}

// requireSameBatch compares batches whatever their order.
func requireSameBatch(t *testing.T, want, got string) {
	var w, g []any
	require.NoError(t, json.Unmarshal([]byte(want), &w))
	require.NoError(t, json.Unmarshal([]byte(got), &g))
	require.ElementsMatch(t, w, g)
}

func TestJSON2Notifications(t *testing.T) {
	answers, notified := serve2(t, codec.JSON2{}, `{"jsonrpc":"2.0","method":"Spec.Update","params":[1]}
		[{"jsonrpc":"2.0","method":"Spec.Update"},{"jsonrpc":"2.0","method":"Spec.Update","params":[]}]`)
	require.Empty(t, answers)
	require.Equal(t, int64(3), notified)
}

func TestJSON2BatchLimits(t *testing.T) {
	request := `{"jsonrpc":"2.0","method":"Echo.Long","params":[400],"id":1}`
	batch := func(n int) string { return "[" + strings.Repeat(request+",", n-1) + request + "]" }

	answers, _ := serve2(t, codec.JSON2{}, batch(1025))
	require.Equal(t, []string{emptyBatch}, answers)
	for _, j := range []codec.JSON2{{}, {MaxBatch: -1}} {
		answers, _ = serve2(t, j, batch(1024))
		require.Len(t, answers, 1)
		require.Equal(t, 1024, strings.Count(answers[0], strings.Repeat("x", 400)))
	}
	answers, _ = serve2(t, codec.JSON2{MaxBatch: -1}, batch(1025))
	require.Equal(t, 1025, strings.Count(answers[0], strings.Repeat("x", 400)))

	// What has no room in the answer becomes an error.
	answers, _ = serve2(t, codec.JSON2{MaxFrame: 1000}, batch(3))
	require.Len(t, answers, 1)
	require.Less(t, len(answers[0]), 1000)
	require.True(t, json.Valid([]byte(answers[0])))
	require.Equal(t, 1, strings.Count(answers[0], strings.Repeat("x", 400)))
	require.Equal(t, 2, strings.Count(answers[0], "-32603"))
}

// TestJSON2Params: the parameters that a client sends for an argument.
func TestJSON2Params(t *testing.T) {
	for _, test := range []struct {
		arg            any
		plain, wrapped string
	}{
		{Operands{1, 2}, `{"minuend":1,"subtrahend":2}`, `[{"minuend":1,"subtrahend":2}]`},
		{&Operands{1, 2}, `{"minuend":1,"subtrahend":2}`, `[{"minuend":1,"subtrahend":2}]`},
		{map[string]int{"a": 1}, `{"a":1}`, `[{"a":1}]`},
		{[]int{1, 2}, `[1,2]`, `[[1,2]]`},
		{[2]string{"a", "b"}, `["a","b"]`, `[["a","b"]]`},
		{5, `[5]`, `[5]`},
		{"text", `["text"]`, `["text"]`},
		{nil, "", `[null]`},
		{(*Operands)(nil), "", `[null]`},
		{[]int(nil), "", `[null]`},
	} {
		for wrap, want := range map[bool]string{false: test.plain, true: test.wrapped} {
			conn := play(nil)
			c := codec.JSON2{Wrap: wrap}.NewClient(conn)
			require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "S.M", Seq: 3}, test.arg))
			if want != "" {
				want = `,"params":` + want
			}
			require.Equal(t, `{"jsonrpc":"2.0","method":"S.M"`+want+`,"id":3}`+"\n", conn.written.String())
		}
	}
}

// TestJSON2Calls makes every exchange over our codecs at both ends.
func TestJSON2Calls(t *testing.T) {
	stock := pair(t, tcpPipe, jsonFormat.stockClient, jsonFormat.stockServer)
	want, wantErrs := run(t, stock.Client, exchanges())
	for _, wrap := range []bool{false, true} {
		s := pair(t, tcpPipe,
			func(c io.ReadWriteCloser) *rpc.Client {
				return rpc.NewClientWithCodec(codec.JSON2{Wrap: wrap}.NewClient(c))
			},
			func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(codec.NewJSON2Server(c)) })
		got, errs := run(t, s.Client, exchanges())
		require.Equal(t, want, got)
		for i := range errs {
			require.Equal(t, wantErrs[i] == nil, errs[i] == nil, "%d: %v", i, errs[i])
		}
	}
}

func TestNotify(t *testing.T) {
	a, b := tcpPipe(t)
	server, n := newServer(), new(atomic.Int64)
	require.NoError(t, server.RegisterName("Spec", Spec{n}))
	c := codec.NewJSON2Client(a)
	s := join(t, a, b, func(io.ReadWriteCloser) *rpc.Client { return rpc.NewClientWithCodec(c) },
		func(_ *rpc.Server, c io.ReadWriteCloser) { server.ServeCodec(codec.NewJSON2Server(c)) })
	notifier := c.(codec.Notifier)
	done := make(chan *rpc.Call, 50)
	for i := range cap(done) {
		require.NoError(t, notifier.Notify("Spec.Update", []int{i}))
		s.Go("Echo.Int", i, new(int), done)
	}
	require.ErrorAs(t, notifier.Notify("Spec.Update", make(chan int)), new(*codec.EncodeError))
	require.NotImplements(t, new(codec.Notifier), codec.NewGobClient(a))
	for range cap(done) {
		require.NoError(t, (<-done).Error)
	}
	require.NoError(t, s.Close())
	s.finished(t)
	require.Equal(t, int64(50), n.Load())
}
