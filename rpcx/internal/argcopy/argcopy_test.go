package argcopy_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/argcopy"
)

type deposit struct{ ID, Amount int }

// sealed encodes itself from private state behind a reference.
type sealed struct{ text *string }

func (s sealed) GobEncode() ([]byte, error) { return []byte(*s.text), nil }
func (s *sealed) GobDecode([]byte) error    { return nil }

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
	Keyed map[[2]int]*deposit
	Arr   [2][]byte
	Fn    func() `json:"-"`
}

func newOuter() *outer {
	return &outer{
		inner: inner{[]int{1}}, At: time.Unix(7, 0), From: netip.MustParseAddr("::1"), IP: net.IPv4(1, 2, 3, 4),
		Raw: json.RawMessage(`{"a":1}`), Any: map[string]any{"x": []any{1.0, "y", nil}}, Many: []any{&deposit{ID: 1}, 5, nil},
		Keyed: map[[2]int]*deposit{{1, 2}: {ID: 9}}, Arr: [2][]byte{[]byte("ab"), nil}, Fn: func() {},
	}
}

func (o *outer) MarshalText() ([]byte, error) { panic("not reached") }

// ring has no end.
type ring struct{ Next *ring }

// A copy is encoded as the original was, whatever has become of that.
func TestCopyOfArgs(t *testing.T) {
	gob.Register(&deposit{})
	gob.Register(map[string]any{})
	gob.Register([]any{})
	type plainOuter struct { // without outer's method
		inner
		Many  []any
		Keyed map[string]*deposit
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
			inner: o.inner, Many: []any{&deposit{ID: 1}, 5, "x"}, Keyed: map[string]*deposit{"k": {ID: 9}}, Arr: o.Arr, At: o.At,
			IP: o.IP, Raw: o.Raw, Any: map[string]any{"x": []any{1.0, "y"}}, Ptr: &p, Fn: o.Fn, state: &n,
		}
	}
	for name, c := range map[string]struct {
		args  func() any
		spoil func(any)
	}{
		"nested": {func() any { return newPlain() }, func(v any) {
			o := v.(*plainOuter)
			o.Deep[0], o.Many[0].(*deposit).ID, o.Keyed["k"].ID, o.Arr[0][0], o.IP[15], o.Raw[2] = 9, 9, 1, 'z', 9, 'b'
			o.Any.(map[string]any)["x"].([]any)[0] = 2.0
			**o.Ptr = 6
		}},
		"bytes":         {func() any { return []byte("abc") }, func(v any) { v.([]byte)[0] = 'z' }},
		"numbers":       {func() any { return []int{1, 2} }, func(v any) { v.([]int)[0] = 9 }},
		"pointer":       {func() any { return &deposit{ID: 1} }, func(v any) { v.(*deposit).ID = 2 }},
		"value":         {func() any { return deposit{ID: 1} }, func(any) {}},
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
			kept, ok := argcopy.Copy(args, false)
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
		"private pointer":  sealed{&text},
		"its own lock":     &guarded{n: 1},
		"embedded pointer": struct{ *inner }{&inner{}},
	} {
		_, ok := argcopy.Copy(args, false)
		require.False(t, ok, name)
	}
	_, ok := argcopy.Copy(&secret{}, true)
	require.False(t, ok, "a foreign codec may look at what is private")
	kept, ok := argcopy.Copy(&struct{ a, B int }{1, 2}, true)
	require.True(t, ok)
	require.Equal(t, &struct{ a, B int }{1, 2}, kept)
}

// Most arguments are small structs, and cost nothing or one allocation.
func TestFlatArgsAreCheap(t *testing.T) {
	var value, pointer any = deposit{ID: 1}, &deposit{ID: 1}
	require.Zero(t, testing.AllocsPerRun(100, func() { argcopy.Copy(value, false) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { argcopy.Copy(pointer, false) }), 2.0)
}
