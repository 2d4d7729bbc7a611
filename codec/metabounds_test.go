package codec_test

import (
	"net/rpc"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Metadata out of bounds are left out; others are kept.
func TestMetaBounds(t *testing.T) {
	valid := fullMeta()
	long, foreign, invalid, negative := valid, valid, valid, valid
	long.Trace.State = strings.Repeat("x", codec.MaxTraceState+1)
	foreign.Trace.State = "a=\n"
	invalid.Trace.SpanID = [8]byte{}
	negative.Deadline = -time.Second
	stateless, untraced, endless := valid, valid, valid
	stateless.Trace.State = ""
	untraced.Trace = codec.Trace{}
	endless.Deadline = 0
	for name, f := range metaFormats {
		for i, c := range []struct{ sent, want codec.RequestMeta }{
			{long, stateless}, {foreign, stateless}, {invalid, untraced}, {negative, endless},
		} {
			here, there := newLink()
			client := metaClient(f.client(here))
			s, _ := metaServer(f.server(there))
			require.NoError(t, client.WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B"}, &c.sent, 1))
			request(t, s)
			got, _ := metaOf(s)
			require.Equal(t, c.want, got, "%s %d", name, i)
		}
	}
}

func TestMalformedJSONMeta(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for meta, want := range map[string]codec.RequestMeta{
		`7`: {}, `null`: {}, `[1]`: {}, `{"x":{"deadline":1}}`: {},
		`{"deadline":-1,"call":3}`:                                {Call: 3},
		`{"deadline":"1","retry":1,"call":3.5}`:                   {},
		`{"deadline":18446744073709551615,"retry":true}`:          {Retry: true},
		`{"deadline":99999999999999999999,"call":2,"call":3}`:     {Call: 3},
		`{"pending":"00","traceparent":5,"tracestate":[]}`:        {},
		`{"pending":-1,"call":18446744073709551616}`:              {},
		`{"traceparent":"` + parent + `-x"}`:                      {},
		`{"traceparent":"ff` + parent[2:] + `"}`:                  {},
		`{"traceparent":"00-` + strings.Repeat("-", 52) + `"}`:    {},
		`{"traceparent":"é` + parent[2:] + `"}`:                   {},
		`{"tracestate":"` + strings.Repeat("\\u0041", 600) + `"}`: {},
		`{"tracestate":"\u0041\\"}`:                               {Trace: codec.Trace{State: `A\`}},
		`{"traceparent":"01` + parent[2:] + `-more","call":1}`: {Call: 1, Trace: codec.Trace{
			TraceID: [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c},
			SpanID:  [8]byte{0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31}, Flags: 1,
		}},
	} {
		for version, request := range map[string]string{
			"json":  `{"method":"A.B","params":[1],"id":1,"meta":` + meta + `}`,
			"json2": `{"jsonrpc":"2.0","method":"A.B","params":[1],"id":1,"meta":` + meta + `}`,
			"batch": `[{"jsonrpc":"2.0","method":"A.B","params":[1],"id":1,"meta":` + meta + `},{}]`,
		} {
			want := want
			if version == "batch" {
				version = "json2"
				want.Call, want.Pending = 0, 0 // no answer is kept that is sent with others
			}
			s, _ := metaServer(metaFormats[version].server(play([]byte(request))))
			var r rpc.Request
			require.NoError(t, s.ReadRequestHeader(&r), meta)
			require.NoError(t, s.ReadRequestBody(new(int)), meta)
			got, answers := metaOf(s)
			require.Equal(t, want, got, meta)
			require.Equal(t, meta[0] == '{', answers, meta)
		}
	}
}

// Fields of a header are no metadata if their type differs, or if the header has no field
// Meta.
func TestForeignGobFieldsAreNoMeta(t *testing.T) {
	type pending struct{ ID, Deadline string }
	for _, header := range []any{
		struct {
			ServiceMethod string
			Seq           uint64
			Deadline      uint64
			Trace         []byte
		}{"A.B", 1, 5, make([]byte, 25)},
		struct {
			ServiceMethod string
			Seq           uint64
			Meta          string
			Pending       pending
		}{"A.B", 1, "meta", pending{"a", "b"}},
		struct {
			Meta          uint64
			ServiceMethod string
			Deadline      []string
			Trace         []byte
			Seq           uint64
			Pending       pending
			Call          float64
		}{0, "A.B", []string{"x"}, []byte{1, 2}, 1, pending{"a", "b"}, 4},
	} {
		s, _ := metaServer(codec.NewGobServer(play(frames(header, 7, header, 8))))
		for range 2 {
			require.Equal(t, rpc.Request{ServiceMethod: "A.B", Seq: 1}, request(t, s))
			got, _ := metaOf(s)
			require.Zero(t, got)
		}
	}
}
