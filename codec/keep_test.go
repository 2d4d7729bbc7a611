package codec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Keeper and the following types keep the bytes passed to their decoders, although the
// documentation of packages json and gob forbids it.
type (
	Keeper     []byte
	TextKeeper []byte
	GobKeeper  []byte
	BinKeeper  []byte
	RawKeeper  struct{ raw json.RawMessage }
	// KeeperBase is embedded, and its decoder promoted.
	KeeperBase struct{ RawKeeper }
	embedded   struct{ Inner Keeper }
	// Keepers has a keeper in every place of a type.
	Keepers struct {
		P *Keeper
		L []TextKeeper
		A [1]Keeper
		M map[string]Keeper
		R RawKeeper
		I any
		embedded
		Self *Keepers
	}
)

func (k *Keeper) UnmarshalJSON(b []byte) error     { *k = b; return nil }
func (k Keeper) MarshalJSON() ([]byte, error)      { return k, nil }
func (k *TextKeeper) UnmarshalText(b []byte) error { *k = b; return nil }
func (k TextKeeper) MarshalText() ([]byte, error)  { return k, nil }
func (k *GobKeeper) GobDecode(b []byte) error      { *k = b; return nil }
func (k GobKeeper) GobEncode() ([]byte, error)     { return k, nil }
func (k *BinKeeper) UnmarshalBinary(b []byte) error {
	*k = b
	return nil
}
func (k BinKeeper) MarshalBinary() ([]byte, error) { return k, nil }
func (k *RawKeeper) UnmarshalJSON(b []byte) error  { k.raw = b; return nil }
func (k RawKeeper) MarshalJSON() ([]byte, error)   { return k.raw, nil }

// quoted is the JSON string of n times the given letter.
func quoted(letter string, n int) []byte { return []byte(`"` + strings.Repeat(letter, n) + `"`) }

// Held notes the arguments that it is given, as they are.
type Held struct {
	keepers *[]*Keepers
	raws    *[]*Keeper
	texts   *[]*TextKeeper
	gobs    *[]*GobKeeper
	bins    *[]*BinKeeper
}

func (h Held) Keepers(in *Keepers, _ *bool) error { *h.keepers = append(*h.keepers, in); return nil }
func (h Held) Raw(in *Keeper, _ *bool) error      { *h.raws = append(*h.raws, in); return nil }
func (h Held) Text(in *TextKeeper, _ *bool) error { *h.texts = append(*h.texts, in); return nil }
func (h Held) Gob(in *GobKeeper, _ *bool) error   { *h.gobs = append(*h.gobs, in); return nil }
func (h Held) Bin(in *BinKeeper, _ *bool) error   { *h.bins = append(*h.bins, in); return nil }

func newHeld(t *testing.T) (*rpc.Server, Held) {
	h := Held{new([]*Keepers), new([]*Keeper), new([]*TextKeeper), new([]*GobKeeper), new([]*BinKeeper)}
	s := rpc.NewServer()
	require.NoError(t, s.RegisterName("Held", h))
	return s, h
}

// TestArgumentsKeepTheirBytes: a later request does not change bytes that a method has kept
// of its argument (stripe-go#1142, kubernetes#125615, easyjson#380).
func TestArgumentsKeepTheirBytes(t *testing.T) {
	object := func(letter string) string {
		q := string(quoted(letter, 20))
		return fmt.Sprintf(`{"P":%[1]s,"L":[%[1]s],"A":[%[1]s],"M":{"m":%[1]s},"R":%[1]s,"Inner":%[1]s,"Self":{"P":%[1]s}}`, q)
	}
	for name, c := range map[string]struct {
		server func(io.ReadWriteCloser) rpc.ServerCodec
		format string // of a request, with method and argument
	}{
		"1.0":              {codec.NewJSONServer, `{"method":"Held.%s","params":[%s],"id":1}` + "\n"},
		"2.0 named":        {codec.NewJSON2Server, `{"jsonrpc":"2.0","method":"Held.%s","params":%s,"id":1}` + "\n"},
		"2.0 wrapped":      {codec.NewJSON2Server, `{"jsonrpc":"2.0","method":"Held.%s","params":[%s],"id":1}` + "\n"},
		"2.0 batch":        {codec.NewJSON2Server, `[{"jsonrpc":"2.0","method":"Held.%s","params":[%s],"id":1}]` + "\n"},
		"2.0 notification": {codec.NewJSON2Server, `{"jsonrpc":"2.0","method":"Held.%s","params":[%s]}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server, held := newHeld(t)
			letters := []string{"a", "b", "c"}
			arrive := &piecewise{}
			for _, l := range letters {
				arrive.add(fmt.Sprintf(c.format, "Keepers", object(l)))
				if name == "2.0 named" {
					continue
				}
				arrive.add(fmt.Sprintf(c.format, "Raw", quoted(l, 20)))
				arrive.add(fmt.Sprintf(c.format, "Text", quoted(l, 20)))
			}
			s := c.server(arrive)
			for server.ServeRequest(s) == nil { //nolint:revive // until the end
			}
			require.Len(t, *held.keepers, len(letters))
			for i, l := range letters {
				want, k := quoted(l, 20), (*held.keepers)[i]
				text := want[1 : len(want)-1]
				require.Equal(t, string(want), string(*k.P))
				require.Equal(t, string(text), string(k.L[0]))
				require.Equal(t, string(want), string(k.A[0]))
				require.Equal(t, string(want), string(k.M["m"]))
				require.Equal(t, string(want), string(k.R.raw))
				require.Equal(t, string(want), string(k.Inner))
				require.Equal(t, string(want), string(*k.Self.P))
				if name != "2.0 named" {
					require.Equal(t, string(want), string(*(*held.raws)[i]))
					require.Equal(t, string(text), string(*(*held.texts)[i]))
				}
			}
		})
	}
}

// TestPositionalArgumentsKeepTheirBytes has one parameter for each field.
func TestPositionalArgumentsKeepTheirBytes(t *testing.T) {
	server, held := newHeld(t)
	arrive := &piecewise{}
	for _, l := range []string{"a", "b"} {
		arrive.add(fmt.Sprintf(`{"jsonrpc":"2.0","method":"Held.Keepers","params":[%[1]s,[%[1]s]],"id":1}`+"\n", quoted(l, 20)))
	}
	s := codec.NewJSON2Server(arrive)
	for server.ServeRequest(s) == nil { //nolint:revive // until the end
	}
	for i, l := range []string{"a", "b"} {
		require.Equal(t, string(quoted(l, 20)), string(*(*held.keepers)[i].P))
		require.Equal(t, strings.Repeat(l, 20), string((*held.keepers)[i].L[0]))
	}
}

// piecewise is a connection that returns one piece per Read, so that all pieces are read to
// the same place of the reader's buffer.
type piecewise struct{ pieces [][]byte }

func (p *piecewise) add(piece string) { p.pieces = append(p.pieces, []byte(piece)) }

func (p *piecewise) Read(b []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.pieces[0])
	if p.pieces[0] = p.pieces[0][n:]; len(p.pieces[0]) == 0 {
		p.pieces = p.pieces[1:]
	}
	return n, nil
}

func (*piecewise) Write(b []byte) (int, error) { return len(b), nil }
func (*piecewise) Close() error                { return nil }

// TestRepliesKeepTheirBytes: the next reply does not change a reply (pgtype#207).
func TestRepliesKeepTheirBytes(t *testing.T) {
	reply := func(letter string) string {
		return fmt.Sprintf(`{"id":1,"result":%s}`+"\n", quoted(letter, 20))
	}
	for version, client := range jsonVersions {
		for name, c := range map[string]struct {
			into func() any
			read func(any) []byte
			want []byte
		}{
			"UnmarshalJSON":   {func() any { return new(Keeper) }, func(v any) []byte { return *v.(*Keeper) }, quoted("a", 20)},
			"UnmarshalText":   {func() any { return new(TextKeeper) }, func(v any) []byte { return *v.(*TextKeeper) }, bytes.Repeat([]byte("a"), 20)},
			"RawMessage":      {func() any { return new(json.RawMessage) }, func(v any) []byte { return *v.(*json.RawMessage) }, quoted("a", 20)},
			"promoted":        {func() any { return new(KeeperBase) }, func(v any) []byte { return v.(*KeeperBase).raw }, quoted("a", 20)},
			"behind pointers": {func() any { p := new(*Keeper); return &p }, func(v any) []byte { return ***v.(***Keeper) }, quoted("a", 20)},
			"behind an interface": {
				func() any { v := any(new(Keeper)); return &v },
				func(v any) []byte { return *(*v.(*any)).(*Keeper) }, quoted("a", 20),
			},
		} {
			t.Run(version+"/"+name, func(t *testing.T) {
				conn := new(piecewise)
				conn.add(reply("a"))
				conn.add(reply("b"))
				read := client(conn)
				var replies [2]any
				for i := range replies {
					replies[i] = c.into()
					require.NoError(t, read.WriteRequest(&rpc.Request{Seq: 1}, 1))
					require.NoError(t, read.ReadResponseHeader(new(rpc.Response)))
					require.NoError(t, read.ReadResponseBody(replies[i]))
				}
				require.Equal(t, string(c.want), string(c.read(replies[0])))
			})
		}
		t.Run(version+"/error data", func(t *testing.T) {
			conn := new(piecewise)
			for _, l := range []string{"a", "b"} {
				conn.add(fmt.Sprintf(`{"id":1,"error":{"code":1,"message":%[1]s,"data":%[1]s}}`+"\n", quoted(l, 20)))
			}
			read := client(conn)
			require.NoError(t, read.ReadResponseHeader(new(rpc.Response)))
			first := read.(codec.ErrorReader).ReadError().(*codec.Error)
			require.NoError(t, read.ReadResponseHeader(new(rpc.Response)))
			require.Equal(t, string(quoted("a", 20)), string(first.Data))
			require.Equal(t, strings.Repeat("a", 20), first.Message)
		})
	}
}

// TestIDsKeepTheirBytes: the next request does not change the id of a running one.
func TestIDsKeepTheirBytes(t *testing.T) {
	for version, server := range map[string]func(io.ReadWriteCloser) rpc.ServerCodec{"1.0": codec.NewJSONServer, "2.0": codec.NewJSON2Server} {
		conn := &recorded{}
		conn.add(`{"jsonrpc":"2.0","method":"A.B","params":[1],"id":"aaaa"}` + "\n")
		conn.add(`{"jsonrpc":"2.0","method":"A.B","params":[1],"id":"bbbb"}` + "\n")
		s := server(conn)
		var requests [2]rpc.Request
		for i := range requests {
			require.NoError(t, s.ReadRequestHeader(&requests[i]))
			require.NoError(t, s.ReadRequestBody(new(int)))
		}
		require.NoError(t, s.WriteResponse(&rpc.Response{Seq: requests[0].Seq}, 1))
		require.Contains(t, conn.String(), `"id":"aaaa"`, version)
	}
}

// recorded is a piecewise connection that records what is written.
type recorded struct {
	piecewise
	bytes.Buffer
}

func (r *recorded) Read(b []byte) (int, error)  { return r.piecewise.Read(b) }
func (r *recorded) Write(b []byte) (int, error) { return r.Buffer.Write(b) }

// TestGobKeepsBytes: a gob.Decoder has a new buffer for every message, so the bytes that
// GobDecode methods keep do not change.
func TestGobKeepsBytes(t *testing.T) {
	a, b := tcpPipe(t)
	server, held := newHeld(t)
	require.NoError(t, server.RegisterName("Echo", KeeperEcho{}))
	s := join(t, a, b, gobFormat.ourClient, func(_ *rpc.Server, c io.ReadWriteCloser) { gobFormat.ourServer(server, c) })
	letters := []string{"a", "b", "c"}
	var gobs [3]GobKeeper
	var bins [3]BinKeeper
	var texts [3]TextKeeper
	for i, l := range letters {
		value := bytes.Repeat([]byte(l), 300)
		require.NoError(t, s.Call("Held.Gob", GobKeeper(value), new(bool)))
		require.NoError(t, s.Call("Held.Bin", BinKeeper(value), new(bool)))
		require.NoError(t, s.Call("Held.Text", TextKeeper(value), new(bool)))
		require.NoError(t, s.Call("Echo.Gob", GobKeeper(value), &gobs[i]))
		require.NoError(t, s.Call("Echo.Bin", BinKeeper(value), &bins[i]))
		require.NoError(t, s.Call("Echo.Text", TextKeeper(value), &texts[i]))
	}
	for i, l := range letters {
		want := strings.Repeat(l, 300)
		for _, got := range [][]byte{*(*held.gobs)[i], *(*held.bins)[i], *(*held.texts)[i], gobs[i], bins[i], texts[i]} {
			require.Equal(t, want, string(got))
		}
	}
}

type KeeperEcho struct{}

func (KeeperEcho) Gob(in GobKeeper, out *GobKeeper) error    { *out = in; return nil }
func (KeeperEcho) Bin(in BinKeeper, out *BinKeeper) error    { *out = in; return nil }
func (KeeperEcho) Text(in TextKeeper, out *TextKeeper) error { *out = in; return nil }
