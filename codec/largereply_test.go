package codec_test

import (
	"math/rand/v2"
	"net"
	"net/rpc"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Sized is a service whose replies have a given length.
type Sized struct {
	hold    chan struct{}
	release func() // closes hold, once
}

// Size is the kind of a reply, and the length of its text.
type Size struct{ Kind, Len int }

// Loose implements a method whose reply has an interface, of one of several types.
func (s *Sized) Loose(z Size, reply *Loose) error {
	text := strings.Repeat("x", z.Len)
	*reply = Loose{[]any{text, Square{z.Len}, Box{Name: text}, Box{text, Square{1}, []any{Square{2}}}, []any{Plain{S: text}}}[z.Kind]}
	return nil
}

// Plain implements a method whose reply has no interface.
func (s *Sized) Plain(z Size, reply *Plain) error {
	reply.S = strings.Repeat("x", z.Len)
	return nil
}

// Wait implements a method that returns when it may.
func (s *Sized) Wait(int, *int) error {
	<-s.hold
	return nil
}

// serveSized serves a Sized, with a limit of replies, and returns a client.
func serveSized(t *testing.T, most int64, f format) (s *Sized, c *rpc.Client) {
	a, b := net.Pipe()
	s = &Sized{hold: make(chan struct{})}
	s.release = sync.OnceFunc(func() { close(s.hold) })
	server := rpc.NewServer()
	require.NoError(t, server.Register(s))
	newServer := codec.Gob{MaxFrame: most}.NewServer
	if f.name == "json" {
		newServer = codec.JSON{MaxFrame: most}.NewServer
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeCodec(newServer(b))
	}()
	c = f.ourClient(a)
	t.Cleanup(func() {
		s.release()
		c.Close() //nolint:errcheck // the server may have closed the connection
		<-done
	})
	return s, c
}

// TestReplyLargerThanMaxFrame: its call gets an error in its place, and only that one, also if the
// reply has an interface.
func TestReplyLargerThanMaxFrame(t *testing.T) {
	for _, f := range formats {
		for _, method := range []string{"Sized.Loose", "Sized.Plain"} {
			t.Run(f.name+"/"+method, func(t *testing.T) {
				s, c := serveSized(t, 4<<10, f)
				waits := c.Go("Sized.Wait", 1, new(int), nil)
				for range 3 {
					var reply any = new(Loose)
					if method == "Sized.Plain" {
						reply = new(Plain)
					}
					require.NoError(t, c.Call(method, Size{0, 2 << 10}, reply))
					require.ErrorContains(t, c.Call(method, Size{0, 5 << 10}, reply), "the reply cannot be sent: codec: frame of 5")
				}
				s.release()
				require.NoError(t, (<-waits.Done).Error)
			})
		}
	}
}

// TestRepliesNearMaxFrame: whatever the order of replies of about the largest size, with types that
// the client knows or does not, the connection lasts. Those that leave room for their definitions
// are sent.
func TestRepliesNearMaxFrame(t *testing.T) {
	const most, definitions = 2000, 500
	rng := rand.New(rand.NewPCG(3, 4))
	for range 80 {
		_, c := serveSized(t, most, gobFormat)
		for range 30 {
			z := Size{rng.IntN(5), most - definitions - 100 + rng.IntN(definitions+300)}
			err := c.Call("Sized.Loose", z, new(Loose))
			if err != nil {
				require.ErrorContains(t, err, "the reply cannot be sent")
			}
			if z.Len < most-definitions-50 || z.Kind == 1 {
				require.NoError(t, err)
			}
			if z.Len >= most && z.Kind != 1 {
				require.Error(t, err)
			}
			if rng.IntN(4) == 0 {
				require.NoError(t, c.Call("Sized.Plain", Size{0, 100}, new(Plain)))
			}
		}
	}
}

// TestReplacedReplyIsReported: WriteResponse returns the error that was sent in place of a reply.
func TestReplacedReplyIsReported(t *testing.T) {
	for _, f := range formats {
		for name, body := range map[string]any{"too large": strings.Repeat("x", 5<<10), "loose": Loose{strings.Repeat("x", 5<<10)}, "unencodable": Bad{"error"}} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				a, b := net.Pipe()
				defer a.Close()
				defer b.Close()
				newServer := codec.Gob{MaxFrame: 4 << 10}.NewServer
				if f.name == "json" {
					newServer = codec.JSON{MaxFrame: 4 << 10}.NewServer
				}
				client, server, reported := f.client(a), newServer(b), make(chan error, 2)
				go func() {
					for _, body := range []any{body, 5} {
						var r rpc.Request
						server.ReadRequestHeader(&r) //nolint:errcheck // then there is no reply
						server.ReadRequestBody(nil)  //nolint:errcheck // likewise
						reported <- server.WriteResponse(&rpc.Response{ServiceMethod: "A.B", Seq: r.Seq}, body)
					}
				}()
				for seq := range uint64(2) {
					var r rpc.Response
					require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq}, 1))
					require.NoError(t, client.ReadResponseHeader(&r))
					require.NoError(t, client.ReadResponseBody(nil))
					if seq == 1 {
						require.Empty(t, r.Error)
						require.NoError(t, <-reported)
						return
					}
					var encode *codec.EncodeError
					err := <-reported
					require.ErrorAs(t, err, &encode)
					require.EqualError(t, err, r.Error)
				}
			})
		}
	}
}
