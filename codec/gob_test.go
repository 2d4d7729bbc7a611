package codec_test

import (
	"bytes"
	"errors"
	"io"
	"net/rpc"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// good is a call that must work however many have failed before it.
func good(t *testing.T, c *rpc.Client, calls ...exchange) {
	t.Helper()
	for _, x := range append(calls, to[Plain]("Echo.Plain", Plain{A: 5, L: []string{"x"}})) {
		require.NoError(t, c.Call(x.method, x.args, x.reply()))
	}
}

// TestUnencodableArgument: an argument that cannot be encoded fails its call only, even if
// the encoder has defined some of its types. The stock codec has sent the header by then, so
// the connection fails (TestStockIsPoisoned).
func TestUnencodableArgument(t *testing.T) {
	bad := map[string]any{
		"unsupported type":   make(chan int),
		"unsupported field":  struct{ C chan int }{},
		"typed nil":          (*Plain)(nil),
		"nil":                nil,
		"failing encoder":    Holder{Fresh{1}, Bad{"error"}},
		"panicking encoder":  Holder{Fresh{1}, Bad{"panic"}},
		"first of its type":  Bad{"error"},
		"slice with failure": []Holder{{}, {Bad: Bad{"error"}}},
	}
	for name, arg := range bad {
		t.Run(name, func(t *testing.T) {
			s := pair(t, tcpPipe, gobFormat.ourClient, gobFormat.stockServer)
			for range 3 {
				var encode *codec.EncodeError
				require.ErrorAs(t, s.Call("Echo.Holder", arg, new(Holder)), &encode)
				good(t, s.Client, to[Holder]("Echo.Holder", Holder{Fresh{2}, Bad{"fine"}}))
			}
		})
	}
}

func TestStockIsPoisoned(t *testing.T) {
	s := pair(t, tcpPipe, gobFormat.stockClient, gobFormat.stockServer)
	require.Error(t, s.Call("Echo.Plain", make(chan int), new(Plain)))
	require.Error(t, s.Call("Echo.Plain", Plain{}, new(Plain)))
}

// TestUnencodableInterface: if the value of an interface cannot be encoded, some definitions
// may be lost. Then nothing more is written, and replies can still be read.
func TestUnencodableInterface(t *testing.T) {
	conn := play(nil)
	c := codec.NewGobClient(conn)
	err := c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.Loose", Seq: 1}, Loose{[]any{Square{1}, Bad{"error"}}})
	var encode *codec.EncodeError
	require.ErrorAs(t, err, &encode)
	require.NotErrorIs(t, err, codec.ErrRetired)
	require.ErrorIs(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.Int", Seq: 2}, 1), codec.ErrRetired)
	require.Empty(t, conn.writes)
}

// TestUnencodableReply: one call gets an error in place of its reply; the stock
// server closes the connection.
func TestUnencodableReply(t *testing.T) {
	for _, f := range formats {
		for _, mode := range []string{"error", "panic"} {
			s := pair(t, tcpPipe, f.stockClient, f.ourServer)
			for range 3 {
				err := s.Call("Echo.Make", mode, new(Holder))
				require.ErrorContains(t, err, "the reply cannot be sent", "%s %s", f.name, mode)
				require.ErrorContains(t, s.Call("Echo.MakeLoose", mode, new(Loose)), "the reply cannot be sent")
				good(t, s.Client, to[Holder]("Echo.Make", "fine"), to[Loose]("Echo.MakeLoose", "fine"))
			}
		}
	}
	s := pair(t, tcpPipe, gobFormat.stockClient, gobFormat.stockServer)
	require.Error(t, s.Call("Echo.Make", "error", new(Holder)))
	require.Error(t, s.Call("Echo.Int", 1, new(int)))
}

// TestUndecodableRequest: an argument of the wrong type is answered with an error.
func TestUndecodableRequest(t *testing.T) {
	for _, f := range formats {
		s := pair(t, tcpPipe, f.stockClient, f.ourServer)
		for range 3 {
			for _, arg := range []any{"text", Holder{}, []string{"x"}} {
				var server rpc.ServerError
				require.ErrorAs(t, s.Call("Echo.Int", arg, new(int)), &server, f.name)
			}
			for _, mode := range []string{"decode-panic", "decode-error"} {
				require.Error(t, s.Call("Echo.Holder", Holder{Fresh{1}, Bad{mode}}, new(Holder)))
				require.Error(t, s.Call("Echo.Bad", Bad{mode}, new(Bad)))
			}
			good(t, s.Client, to[Holder]("Echo.Holder", Holder{Fresh{2}, Bad{"fine"}}))
		}
	}
}

// replies returns what a stock server sends in answer to the exchanges.
func replies(t testing.TB, f format) []byte { return repliesTo(t, f, exchanges()) }

func repliesTo(t testing.TB, f format, calls []exchange) []byte {
	a, b := tcpPipe(t)
	s := join(t, a, b, f.stockClient, f.stockServer)
	for _, x := range calls {
		s.Call(x.method, x.args, x.reply()) //nolint:errcheck // some are to fail
	}
	return s.wire.received()
}

// requests returns what a stock client sends for the exchanges.
func requests(t testing.TB, f format) []byte {
	a, b := tcpPipe(t)
	s := join(t, a, b, f.stockClient, f.stockServer)
	for _, x := range exchanges() {
		s.Call(x.method, x.args, x.reply()) //nolint:errcheck // some are to fail
	}
	return s.wire.sent()
}

// readAll reads replies until the stream ends. Each is decoded by the given
// function, which returns the body.
func readAll(c rpc.ClientCodec, body func(i int, r *rpc.Response) any) (n int, err error) {
	for ; ; n++ {
		var r rpc.Response
		if err := c.ReadResponseHeader(&r); err != nil {
			return n, err
		}
		var b any
		if r.Error == "" {
			b = body(n, &r)
		}
		err := c.ReadResponseBody(b)
		if decode := (*codec.DecodeError)(nil); err != nil && !errors.As(err, &decode) {
			return n, err
		}
	}
}

// TestUndecodableReply: a reply that cannot be decoded, or is discarded, does not affect
// later ones, even if it has type definitions.
func TestUndecodableReply(t *testing.T) {
	for _, f := range formats {
		session := replies(t, f)
		calls := exchanges()
		for spoilt := range calls {
			for _, wrong := range []any{nil, new(chan int), new(Bad), Plain{}, (*Plain)(nil)} {
				got := 0
				n, err := readAll(f.client(play(session)), func(i int, r *rpc.Response) any {
					if i == spoilt {
						return wrong
					}
					got++
					return calls[i].reply()
				})
				require.Equal(t, io.EOF, err)
				require.Equal(t, len(calls), n)
			}
		}
	}
}

func TestRepliesAfterSpoiltOnes(t *testing.T) {
	for _, f := range formats {
		session := replies(t, f)
		stock := pair(t, tcpPipe, f.stockClient, f.stockServer)
		want, wantErrs := run(t, stock.Client, exchanges())
		for _, wrong := range []any{nil, new(chan int)} {
			for parity := range 2 {
				got := map[int]any{}
				readAll(f.client(play(session)), func(i int, r *rpc.Response) any { //nolint:errcheck // ends with the tape
					if i%2 == parity {
						return wrong
					}
					got[i] = exchanges()[i].reply()
					return got[i]
				})
				require.NotEmpty(t, got)
				for i, reply := range got {
					require.NoError(t, wantErrs[i])
					require.Equal(t, want[i], reply, "%s %d", f.name, i)
				}
			}
		}
	}
}

// TestTruncated cuts sessions at every byte: what was whole before the cut can
// be read, and the stream ends with io.EOF at the end of a frame only.
func TestTruncated(t *testing.T) {
	for _, f := range formats {
		for calls := range slices.Chunk(exchanges(), 6) { // each cut reads what lies before it again
			session, frames := repliesTo(t, f, calls), 0
			for cut := len(session); cut >= 0; cut-- {
				n, err := readAll(f.client(play(session[:cut])), func(i int, r *rpc.Response) any { return calls[i].reply() })
				if err == io.EOF {
					frames++
				} else if err != io.ErrUnexpectedEOF {
					require.Fail(t, "wrong error", "%s cut at %d: %v", f.name, cut, err)
				}
				require.LessOrEqual(t, n, len(calls))
			}
			if f.name == "gob" {
				require.Equal(t, len(calls)+1, frames)
			} else { // with and without the newline
				require.Equal(t, 2*len(calls)+1, frames)
			}
		}
	}
}

// slow hands out one byte at a time.
type slow struct{ *tape }

func (s slow) Read(p []byte) (int, error) { return s.tape.Read(p[:min(1, len(p))]) }

func TestByteByByte(t *testing.T) {
	for _, f := range formats {
		n, err := readAll(f.client(slow{play(replies(t, f))}), func(i int, r *rpc.Response) any { return exchanges()[i].reply() })
		require.Equal(t, io.EOF, err)
		require.Equal(t, len(exchanges()), n)
	}
}

// TestWholeFrame: the body is in memory once the header has been returned.
func TestWholeFrame(t *testing.T) {
	for _, f := range formats {
		session := replies(t, f)
		conn := play(session)
		c := f.client(slow{conn})
		for range exchanges() {
			var r rpc.Response
			require.NoError(t, c.ReadResponseHeader(&r))
			rest := conn.play.(*bytes.Reader).Len()
			require.NoError(t, c.ReadResponseBody(nil))
			require.Equal(t, rest, conn.play.(*bytes.Reader).Len())
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHugeFrame: a length prefix does not cause an allocation, and the error for a frame
// beyond the limit names the field that sets the limit.
func TestHugeFrame(t *testing.T) {
	promise := []byte{0xf8, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3} // a message of 1 GiB
	var err error
	require.Less(t, allocated(func() {
		err = codec.Gob{MaxFrame: 2 << 30}.NewClient(play(promise)).ReadResponseHeader(new(rpc.Response))
	}), uint64(1<<20))
	require.Equal(t, io.ErrUnexpectedEOF, err)

	err = codec.NewGobClient(play(promise)).ReadResponseHeader(new(rpc.Response))
	var frame *codec.FrameError
	require.ErrorAs(t, err, &frame)
	require.Equal(t, int64(64<<20), frame.Max)
	require.GreaterOrEqual(t, frame.Size, int64(0x3fffffff))
	require.ErrorContains(t, err, "codec.Gob.MaxFrame")

	long := `{"id":1,"result":"` + strings.Repeat("x", 1000)
	for limitName, c := range map[string]rpc.ClientCodec{
		"codec.JSON.MaxFrame":  codec.JSON{MaxFrame: 1000}.NewClient(play([]byte(long))),
		"codec.JSON2.MaxFrame": codec.JSON2{MaxFrame: 1000}.NewClient(play([]byte(long))),
	} {
		err := c.ReadResponseHeader(new(rpc.Response))
		require.ErrorAs(t, err, &frame)
		require.ErrorContains(t, err, limitName)
	}
}

// TestLargeArgument: a request beyond the limit is not sent, and fails alone.
func TestLargeArgument(t *testing.T) {
	for name, make := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
		"gob":   codec.Gob{MaxFrame: 1000}.NewClient,
		"json":  codec.JSON{MaxFrame: 1000}.NewClient,
		"json2": codec.JSON2{MaxFrame: 1000}.NewClient,
	} {
		conn := play(nil)
		c := make(conn)
		err := c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.String", Seq: 1}, strings.Repeat("x", 1000))
		var encode *codec.EncodeError
		require.ErrorAs(t, err, &encode, name)
		require.ErrorAs(t, err, new(*codec.FrameError))
		require.Empty(t, conn.writes)
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.String", Seq: 2}, "x"))
		require.Len(t, conn.writes, 1)
	}
}

// TestLargeReply: the call gets an error instead.
func TestLargeReply(t *testing.T) {
	for _, serve := range []struct {
		f      format
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		{gobFormat, codec.Gob{MaxFrame: 2000}.NewServer},
		{jsonFormat, codec.JSON{MaxFrame: 2000}.NewServer},
	} {
		s := pair(t, tcpPipe, serve.f.stockClient, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(serve.server(c)) })
		require.ErrorContains(t, s.Call("Echo.Long", 3000, new(string)), "MaxFrame")
		require.NoError(t, s.Call("Echo.Long", 100, new(string)))
	}
}

// forge replaces the end of a gob session, within its last message, which must be
// shorter than 128 bytes.
func forge(t *testing.T, session []byte, old, end string) []byte {
	last := 0
	for at := 0; at < len(session); {
		last = at
		require.Less(t, session[at], byte(128))
		at += 1 + int(session[at])
	}
	require.True(t, bytes.HasSuffix(session, []byte(old)), "% x", session)
	forged := append(bytes.Clone(session[:len(session)-len(old)]), end...)
	require.Less(t, len(forged)-last-1, 128)
	forged[last] = byte(len(forged) - last - 1)
	return forged
}

// TestMapBomb: package gob allocates a map by the announced number of entries, before it has
// read one (golang/go#79539). This package must not.
func TestMapBomb(t *testing.T) {
	session := frames(rpc.Response{Seq: 1}, map[string]int{"one": 1})
	for _, count := range []string{"\xfd\x7f\xff\xff", "\xfc\x7f\xff\xff\xff", "\xf8\x7f\xff\xff\xff\xff\xff\xff\xff"} {
		c := codec.NewGobClient(play(forge(t, session, "\x01\x03one\x02", count+"\x03one\x02")))
		require.Less(t, allocated(func() {
			var r rpc.Response
			var reply map[string]int
			require.NoError(t, c.ReadResponseHeader(&r))
			require.Error(t, c.ReadResponseBody(&reply))
		}), uint64(1<<20))
	}
}

// TestNoBytesElements: at the end of a message a struct may have no bytes, and so may an
// array of such structs.
func TestNoBytesElements(t *testing.T) {
	many := "\xf8\x7f\xff\xff\xff\xff\xff\xff\xff"
	for _, session := range [][]byte{
		forge(t, frames(rpc.Response{Seq: 1}, Tree{Kids: []Tree{{}}}), "\x04\x01\x00\x00", "\x04"+many),
		forge(t, frames(rpc.Response{Seq: 1}, map[string]Fresh{"": {}}), "\x01\x00\x00", many+"\x00"),
		forge(t, frames(rpc.Response{Seq: 1}, []Fresh{{}}), "\x01\x00", many),
	} {
		c := codec.NewGobClient(play(session))
		var r rpc.Response
		require.NoError(t, c.ReadResponseHeader(&r))
		var tree Tree
		require.Error(t, c.ReadResponseBody(&tree))
	}
}

// TestFailedWrite retires a client codec and closes a server's connection.
func TestFailedWrite(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, f := range formats {
		conn := play(nil)
		conn.refuse = broken
		c := f.client(conn)
		require.ErrorIs(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1), broken)
		conn.refuse = nil
		err := c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1)
		require.ErrorIs(t, err, codec.ErrRetired)
		require.ErrorIs(t, err, broken)
		require.Zero(t, conn.closed)

		conn = play(requests(t, f))
		conn.refuse = broken
		s := f.server(conn)
		var r rpc.Request
		require.NoError(t, s.ReadRequestHeader(&r))
		require.NoError(t, s.ReadRequestBody(new(int)))
		require.ErrorIs(t, s.WriteResponse(&rpc.Response{Seq: r.Seq}, 1), broken)
		require.Equal(t, 1, conn.closed)
		require.NoError(t, s.Close())
		require.Equal(t, 1, conn.closed)
	}
}
