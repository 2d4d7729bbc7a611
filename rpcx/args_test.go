package rpcx_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/rpc"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// lateWays are the ways in which a call of Go can be sent after Go has returned, or again.
// Each returns what is to happen then.
var lateWays = map[string]struct {
	change func(*rpcx.Dialer)
	before func(f *fleet, c *rpcx.Client)
	after  func(f *fleet)
}{
	"dial": {
		before: func(f *fleet, _ *rpcx.Client) {
			f.Delay(f.addrs[0], 100*time.Millisecond)
			f.Cut(f.addrs[0])
			synctest.Wait()
		},
	},
	"refused at first": {
		change: func(d *rpcx.Dialer) { d.Retry.BackOff = constantly(50 * time.Millisecond) },
		before: func(f *fleet, _ *rpcx.Client) { f.kill(f.addrs[0]) },
		after:  func(f *fleet) { time.Sleep(300 * time.Millisecond); f.Resume(f.addrs[0]) },
	},
	"line of MaxCalls": {
		change: func(d *rpcx.Dialer) { d.MaxCalls, d.QueueTimeout = 1, time.Minute },
		before: func(_ *fleet, c *rpcx.Client) { c.Go("Bank.Sleep", time.Second, new(string), nil) },
	},
	"line of MaxInFlight": {
		change: func(d *rpcx.Dialer) { d.MaxInFlight, d.QueueTimeout = 1, time.Minute },
		before: func(_ *fleet, c *rpcx.Client) { c.Go("Bank.Sleep", time.Second, new(string), nil) },
	},
	"peer that does not read": {
		before: func(f *fleet, c *rpcx.Client) {
			f.Stall(f.addrs[0])
			for range 40 {
				c.Go("Bank.Measure", strings.Repeat("x", 64<<10), new(int), nil)
			}
		},
		after: func(f *fleet) { time.Sleep(500 * time.Millisecond); f.Resume(f.addrs[0]) },
	},
	"retry": {
		after: func(f *fleet) { time.Sleep(500 * time.Millisecond); f.Cut(f.addrs[0]) },
	},
	"none of them": {},
}

// net/rpc's Go has encoded args when it returns, and then they are the caller's again.
func TestArgsAreTheCallersAfterGo(t *testing.T) {
	codecs := map[string]func(*rpcx.Dialer){
		"gob":           func(*rpcx.Dialer) {},
		"json":          func(d *rpcx.Dialer) { d.Codec = codec.NewJSONClient },
		"net/rpc's own": func(d *rpcx.Dialer) { d.Codec = stdjson.NewClientCodec },
	}
	for name, way := range lateWays {
		for format, use := range codecs {
			t.Run(name+"/"+format, func(t *testing.T) {
				inFleet(t, 1, func(t *testing.T, f *fleet) {
					if format != "gob" {
						f.serve = func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(c)) }
					}
					use(&f.dialer)
					f.dialer.Methods = idempotent("Bank.Place")
					if way.change != nil {
						way.change(&f.dialer)
					}
					f.addrs = []string{"z:1"}
					f.Delay("z:1", time.Millisecond)
					f.start("z:1")
					c := f.dial()
					defer c.Close()
					time.Sleep(time.Second)
					if way.before != nil {
						way.before(f, c)
					}
					args, want := newOrder(time.Second), newOrder(time.Second)
					var got Order
					call := c.Go("Bank.Place", args, &got, nil)
					args.spoil()
					if way.after != nil {
						way.after(f)
					}
					<-call.Done
					require.NoError(t, call.Error)
					require.Same(t, args, call.Args)
					require.NotNil(t, got.Next)
					require.Equal(t, want.Next.Items, got.Next.Items)
					got.Next, want.Next, want.seen = nil, nil, nil
					require.Equal(t, fmt.Sprintf("%+v", *want), fmt.Sprintf("%+v", got)) // gob does not tell nil from empty
				})
			})
		}
	}
}

// A hedge is sent from a timer's goroutine.
func TestHedgeOfSpoiltArgs(t *testing.T) {
	inRace(t, 2, nil, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", time.Minute)
		args := newOrder(time.Second)
		var got Order
		call := h.Go("Bank.Place", args, &got, nil)
		args.spoil()
		<-call.Done
		require.NoError(t, call.Error)
		require.EqualValues(t, 1, h.Stats().HedgesWon)
		require.Equal(t, newOrder(0).Items, got.Items)
		require.Equal(t, []int{1, 2}, got.Counts["a"])
	})
}

// What cannot be copied is written before Go returns, as by net/rpc's, and then never
// again.
func TestGoWaitsForArgsThatCannotBeCopied(t *testing.T) {
	for name, way := range lateWays {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				f.dialer.Methods = idempotent("Bank.Open")
				if way.change != nil {
					way.change(&f.dialer)
				}
				c := f.dial()
				defer c.Close()
				time.Sleep(time.Second)
				if way.before != nil {
					way.before(f, c)
				}
				if way.after != nil {
					go way.after(f)
				}
				text, got := "as it was", ""
				call := c.Go("Bank.Open", Sealed{&text}, &got, nil)
				text = "spoilt"
				<-call.Done
				if name == "retry" {
					require.Error(t, call.Error)
					require.Zero(t, c.Stats().Retries)
					return
				}
				require.NoError(t, call.Error)
				require.Equal(t, "as it was", got)
			})
		})
	}
	inFleet(t, 1, func(t *testing.T, f *fleet) { // it does not wait for ever
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		text := ""
		call := c.Go("Bank.Open", Sealed{&text}, new(string), nil)
		require.Len(t, call.Done, 1)
		require.ErrorIs(t, (<-call.Done).Error, rpcx.ErrUnavailable)
	})
}

// A client of one given connection sends once; only if it has to wait for that, it needs
// a copy.
func TestArgsOverOneConnection(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		c := rpcx.NewClient(conn)
		defer c.Close()
		var calls []*rpcx.Call
		f.Stall("a:1")
		for range 40 {
			args := newOrder(0)
			args.Items = append(args.Items, strings.Repeat("x", 64<<10))
			calls = append(calls, c.Go("Bank.Place", args, new(Order), nil))
			args.spoil()
		}
		time.Sleep(500 * time.Millisecond)
		f.Resume("a:1")
		for _, call := range calls {
			<-call.Done
			require.NoError(t, call.Error)
			require.Equal(t, []string{"a", "b"}, call.Reply.(*Order).Items[:2])
		}
	})
}

// slowWriter is a codec that encodes after a while, and then remembers what it saw.
type slowWriter struct {
	*faultyCodec
	goOn chan struct{}
	saw  chan string
}

func (c slowWriter) WriteRequest(_ *rpc.Request, body any) error {
	<-c.goOn
	text, err := json.Marshal(body)
	c.saw <- string(text)
	return err
}

// A caller whose time is up leaves, and his args with him, while a codec that hangs has
// yet to read them.
func TestArgsOfACallerWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codec := slowWriter{newFaultyCodec(""), make(chan struct{}), make(chan string, 1)}
		c := rpcx.NewClientWithCodec(codec)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		args := &Deposit{ID: 7}
		require.ErrorIs(t, c.CallContext(ctx, "Bank.Deposit", args, new(int)), context.DeadlineExceeded)
		args.ID = 8
		close(codec.goOn)
		require.JSONEq(t, `{"ID":7,"Amount":0}`, <-codec.saw)
		require.NoError(t, c.Close())
	})
}

// secret is a type of a third party's, with state of its own.
type secret struct {
	Shown []int
	state int
	mu    sync.Locker
	cache map[string]int
}

// formatted encodes itself from private state without references.
type formatted struct {
	whole, part int
	Tags        []string
}

func (f formatted) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `"%d.%d %v"`, f.whole, f.part, f.Tags), nil
}

func (f formatted) GobEncode() ([]byte, error) { return f.MarshalJSON() }
func (f *formatted) GobDecode([]byte) error    { return nil }

// guarded encodes itself under its lock.
type guarded struct {
	mu sync.Mutex
	n  int
}

func (g *guarded) MarshalText() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Append(nil, g.n), nil
}

type inner struct{ Deep []int }

type outer struct {
	inner
	sync.Mutex
	At    time.Time
	From  netip.Addr
	IP    net.IP
	Raw   json.RawMessage
	Any   any
	Many  []any
	Keyed map[[2]int]*Deposit
	Arr   [2][]byte
	Fn    func() `json:"-"`
}

func newOuter() *outer {
	return &outer{
		inner: inner{[]int{1}}, At: time.Unix(7, 0), From: netip.MustParseAddr("::1"), IP: net.IPv4(1, 2, 3, 4),
		Raw: json.RawMessage(`{"a":1}`), Any: map[string]any{"x": []any{1.0, "y", nil}}, Many: []any{&Deposit{ID: 1}, 5, nil},
		Keyed: map[[2]int]*Deposit{{1, 2}: {ID: 9}}, Arr: [2][]byte{[]byte("ab"), nil}, Fn: func() {},
	}
}

func (o *outer) MarshalText() ([]byte, error) { panic("not reached") }

// ring has no end.
type ring struct{ Next *ring }

// A copy is encoded as the original was, whatever has become of that.
func TestCopyOfArgs(t *testing.T) {
	gob.Register(&Deposit{})
	gob.Register(map[string]any{})
	gob.Register([]any{})
	type plainOuter struct { // without outer's method
		inner
		Many  []any
		Keyed map[string]*Deposit
		Arr   [2][]byte
		At    time.Time
		IP    net.IP
		Raw   json.RawMessage
		Any   any
		Ptr   **int
		Fn    func() `json:"-"`
		state *int
	}
	newPlain := func() *plainOuter {
		o, n := newOuter(), 5
		p := &n
		return &plainOuter{
			inner: o.inner, Many: []any{&Deposit{ID: 1}, 5, "x"}, Keyed: map[string]*Deposit{"k": {ID: 9}}, Arr: o.Arr, At: o.At,
			IP: o.IP, Raw: o.Raw, Any: map[string]any{"x": []any{1.0, "y"}}, Ptr: &p, Fn: o.Fn, state: &n,
		}
	}
	for name, c := range map[string]struct {
		args  func() any
		spoil func(any)
	}{
		"nested": {func() any { return newPlain() }, func(v any) {
			o := v.(*plainOuter)
			o.Deep[0], o.Many[0].(*Deposit).ID, o.Keyed["k"].ID, o.Arr[0][0], o.IP[15], o.Raw[2] = 9, 9, 1, 'z', 9, 'b'
			o.Any.(map[string]any)["x"].([]any)[0] = 2.0
			**o.Ptr = 6
		}},
		"bytes":         {func() any { return []byte("abc") }, func(v any) { v.([]byte)[0] = 'z' }},
		"numbers":       {func() any { return []int{1, 2} }, func(v any) { v.([]int)[0] = 9 }},
		"pointer":       {func() any { return &Deposit{ID: 1} }, func(v any) { v.(*Deposit).ID = 2 }},
		"value":         {func() any { return Deposit{ID: 1} }, func(any) {}},
		"named bytes":   {func() any { return json.RawMessage(`{"a":1}`) }, func(v any) { v.(json.RawMessage)[2] = 'b' }},
		"formatted":     {func() any { return &formatted{1, 2, []string{"x"}} }, func(v any) { v.(*formatted).part, v.(*formatted).Tags[0] = 3, "y" }},
		"private parts": {func() any { return &secret{Shown: []int{1}, state: 1, cache: map[string]int{}, mu: new(sync.Mutex)} }, func(v any) { v.(*secret).Shown[0] = 2 }},
		"map":           {func() any { return map[string][]int{"a": {1}} }, func(v any) { v.(map[string][]int)["a"][0] = 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			encode := func(v any) (string, string) {
				var b bytes.Buffer
				require.NoError(t, gob.NewEncoder(&b).Encode(v))
				text, err := json.Marshal(v)
				require.NoError(t, err)
				return b.String(), string(text)
			}
			args := c.args()
			wantGob, wantJSON := encode(args)
			kept, ok := rpcx.CopyArgs(args, false)
			require.True(t, ok)
			c.spoil(args)
			gotGob, gotJSON := encode(kept)
			require.Equal(t, wantJSON, gotJSON)
			require.Equal(t, wantGob, gotGob)
			require.IsType(t, args, kept)
		})
	}
}

func TestArgsThatCannotBeCopied(t *testing.T) {
	loop := &ring{}
	loop.Next = loop
	text := ""
	for name, args := range map[string]any{
		"cycle":            loop,
		"big number":       big.NewInt(7),
		"list of them":     []any{1, map[string]any{"x": big.NewInt(7)}},
		"private pointer":  Sealed{&text},
		"its own lock":     &guarded{n: 1},
		"embedded pointer": struct{ *inner }{&inner{}},
	} {
		_, ok := rpcx.CopyArgs(args, false)
		require.False(t, ok, name)
	}
	_, ok := rpcx.CopyArgs(&secret{}, true)
	require.False(t, ok, "a foreign codec may look at what is private")
	kept, ok := rpcx.CopyArgs(&struct{ a, B int }{1, 2}, true)
	require.True(t, ok)
	require.Equal(t, &struct{ a, B int }{1, 2}, kept)
}

// Most arguments are small structs, and cost nothing or one allocation.
func TestFlatArgsAreCheap(t *testing.T) {
	var value, pointer any = Deposit{ID: 1}, &Deposit{ID: 1}
	require.Zero(t, testing.AllocsPerRun(100, func() { rpcx.CopyArgs(value, false) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { rpcx.CopyArgs(pointer, false) }), 2.0)
}
