package codec_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Anything has methods whose arguments take any JSON value.
type Anything struct{}

func (Anything) Any(in any, out *any) error                 { *out = in; return nil }
func (Anything) Raw(in json.RawMessage, out *any) error     { return json.Unmarshal(in, out) }
func (Anything) Pointer(in *any, out *any) error            { *out = *in; return nil }
func (Anything) Custom(in *AnyValue, out *any) error        { *out = in.v; return nil }
func (Anything) CustomSlice(in *AnySlice, out *any) error   { *out = []any(*in); return nil }
func (Anything) Field(in struct{ V any }, out *any) error   { *out = in.V; return nil }
func (Anything) Slice(in []any, out *any) error             { *out = in; return nil }
func (Anything) Map(in map[string]any, out *any) error      { *out = in; return nil }
func (Anything) Pair(in struct{ A, B any }, out *any) error { *out = []any{in.A, in.B}; return nil }

// AnyValue decodes itself.
type AnyValue struct{ v any }

func (a *AnyValue) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &a.v) }

// AnySlice decodes itself, from an array.
type AnySlice []any

func (a *AnySlice) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, (*[]any)(a)) }

// TestAnyArgument: an argument of type any, or with UnmarshalJSON, arrives as it was sent,
// with and without JSON2.Wrap.
func TestAnyArgument(t *testing.T) {
	values := []any{
		5, -1.5, "x", "", true, nil, []any(nil), (*int)(nil),
		[]any{},
		[]any{1},
		[]any{nil},
		[]any{1, 2},
		[]any{"x"},
		[]any{[]any{}},
		[]any{[]any{1}},
		[]any{[]any{[]any{}}},
		[][]any{},
		[][]any{{}},
		[][]any{{1}},
		[][]any{{1}, {2}},
		[][]any{nil},
		[1]int{7},
		[0]int{},
		[]int{7},
		[]string{" "},
		[]string{"]"},
		map[string]any{},
		map[string]any{"a": 1},
		[]any{map[string]any{}},
		[]map[string]int{{"a": 1}, {"b": 2}},
		struct{ A int }{1},
		[]struct{ A int }{{1}},
		Operands{1, 2},
		&Operands{1, 2}, []byte("bytes"), json.RawMessage(" [ 5 ] "), json.RawMessage(`[5 ]`), json.Number("5"),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		values = append(values, randomValue(random, 4))
	}
	for _, wrap := range []bool{false, true} {
		server := rpc.NewServer()
		require.NoError(t, server.Register(Anything{}))
		a, b := tcpPipe(t)
		c := join(t, a, b, func(c io.ReadWriteCloser) *rpc.Client {
			return rpc.NewClientWithCodec(codec.JSON2{Wrap: wrap}.NewClient(c))
		}, func(_ *rpc.Server, c io.ReadWriteCloser) { server.ServeCodec(codec.NewJSON2Server(c)) })
		for _, v := range values {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			methods := []string{"Any", "Pointer", "Custom"}
			if string(text) != "null" {
				methods = append(methods, "Raw") // which null leaves empty
			}
			if text[0] == '[' {
				methods = append(methods, "CustomSlice")
			}
			for _, method := range methods {
				var got any
				require.NoError(t, c.Call("Anything."+method, v, &got), "%s %s, wrap %v", method, text, wrap)
				back, err := json.Marshal(got)
				require.NoError(t, err)
				require.JSONEq(t, string(text), string(back), "%s, wrap %v", method, wrap)
			}
		}
	}
}

// randomValue returns a random value that JSON encodes and decodes without a change.
func randomValue(r *rand.Rand, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch r.IntN(kinds) {
	case 0:
		return float64(r.IntN(100))
	case 1:
		return []string{"", " ", "]", "[5]", `"`, "\n"}[r.IntN(6)]
	case 2:
		return r.IntN(2) == 0
	case 3:
		return nil
	case 4:
		m := make(map[string]any)
		for range r.IntN(3) {
			m[string(rune('a'+r.IntN(3)))] = randomValue(r, depth-1)
		}
		return m
	}
	s := make([]any, r.IntN(4))
	for i := range s {
		s[i] = randomValue(r, depth-1)
	}
	return s
}

// TestAnyParamsOfOthers: from another client, a single parameter is the argument, and
// several are an array.
func TestAnyParamsOfOthers(t *testing.T) {
	for params, want := range map[string]string{
		`[5]`: `5`, `[ 5 ]`: `5`, "[\n\t5\n]": `5`, `["x"]`: `"x"`, `[null]`: `null`, `[[5]]`: `[5]`, `[[]]`: `[]`, `[{"a":1}]`: `{"a":1}`,
		`[]`: `[]`, `[5,6]`: `[5,6]`, `[5, 6]`: `[5,6]`, `{"a":1}`: `{"a":1}`, `null`: `null`,
	} {
		for _, method := range []string{"Any", "Custom", "Pointer"} {
			conn := play([]byte(`{"jsonrpc":"2.0","method":"Anything.` + method + `","params":` + params + `,"id":1}`))
			server := rpc.NewServer()
			require.NoError(t, server.Register(Anything{}))
			server.ServeCodec(codec.NewJSON2Server(conn))
			require.JSONEq(t, `{"jsonrpc":"2.0","result":`+want+`,"id":1}`, conn.written.String(), "%s %s", method, params)
		}
	}
}

// TestPositionalParams: parameters for an argument of another type than any do not depend
// on the client.
func TestPositionalParams(t *testing.T) {
	for _, wrap := range []bool{false, true} {
		server := rpc.NewServer()
		require.NoError(t, server.Register(Anything{}))
		a, b := tcpPipe(t)
		c := join(t, a, b, func(c io.ReadWriteCloser) *rpc.Client {
			return rpc.NewClientWithCodec(codec.JSON2{Wrap: wrap}.NewClient(c))
		}, func(_ *rpc.Server, c io.ReadWriteCloser) { server.ServeCodec(codec.NewJSON2Server(c)) })
		for _, x := range []struct {
			method string
			arg    any
			want   string
		}{
			{"Map", map[string]any{"a": []any{1}}, `{"a":[1]}`},
			{"Field", struct{ V any }{[]any{1}}, `[1]`},
			{"Pair", struct{ A, B any }{1, []any{2}}, `[1,[2]]`},
		} {
			var got any
			require.NoError(t, c.Call("Anything."+x.method, x.arg, &got))
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, x.want, string(text), "%s, wrap %v", x.method, wrap)
		}
		if !wrap { // parameters by position
			var got any
			require.NoError(t, c.Call("Anything.Pair", []any{1}, &got))
			require.Equal(t, []any{1.0, nil}, got)
			for _, s := range [][]any{{}, {1.0}, {[]any{1.0}}, {1.0, 2.0}} {
				require.NoError(t, c.Call("Anything.Slice", s, &got))
				require.Equal(t, s, got)
			}
		}
	}
}
