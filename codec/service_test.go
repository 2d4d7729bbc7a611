package codec_test

import (
	"encoding/gob"
	"errors"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Shape is an interface. None of the registered types has a map, so that fuzzing does not
// make package gob allocate a large one.
type Shape interface{ Area() int }

type (
	Square struct{ Side int }
	Box    struct {
		Name  string
		Inner Shape // an interface within an interface
		Any   any
	}
	// Tree is recursive.
	Tree struct {
		Value       int
		Left, Right *Tree
		Kids        []Tree
	}
	// Opaque brings its own encoding.
	Opaque struct{ hidden string }

	Plain struct {
		A, B int
		S    string
		F    float64
		C    complex128 `json:"-"`
		P    *int
		L    []string
		Y    []byte
		Arr  [3]uint16
		Skip int // absent in Partial
	}
	// Partial lacks fields of Plain and has one more.
	Partial struct {
		A     int
		S     string
		Extra string
	}
	Rich struct {
		Plain Plain
		Tree  Tree
		Shape Shape `json:"-"`
		Any   any
		Many  []any
		Map   map[string]Plain
		Deep  map[string]map[int][]Tree
		Dyn   map[string]any
		Op    Opaque
		When  time.Time
		Big   *big.Int
	}
	Nothing struct{}
)

func (s Square) Area() int { return s.Side * s.Side }
func (b *Box) Area() int {
	if b.Inner == nil {
		return 0
	}
	return b.Inner.Area()
}

func (o Opaque) GobEncode() ([]byte, error)    { return []byte(o.hidden), nil }
func (o *Opaque) GobDecode(b []byte) error     { o.hidden = string(b); return nil }
func (o Opaque) MarshalText() ([]byte, error)  { return []byte(o.hidden), nil }
func (o *Opaque) UnmarshalText(b []byte) error { o.hidden = string(b); return nil }

func init() {
	gob.Register(Square{})
	gob.Register(&Box{})
	gob.Register(Plain{})
	gob.Register(Tree{})
	gob.Register(time.Time{})
	gob.Register([]any{})
}

// Bad cannot be encoded; Mode says why.
type Bad struct{ Mode string }

func (b Bad) encode() ([]byte, error) {
	switch b.Mode {
	case "panic":
		panic("Bad panics")
	case "error":
		return nil, errors.New("Bad fails")
	}
	return []byte(`"` + b.Mode + `"`), nil
}
func (b Bad) GobEncode() ([]byte, error)   { return b.encode() }
func (b Bad) MarshalJSON() ([]byte, error) { return b.encode() }
func (b *Bad) decode(p []byte) error {
	switch b.Mode = string(p[1 : len(p)-1]); b.Mode {
	case "decode-panic":
		panic("Bad panics")
	case "decode-error":
		return errors.New("Bad fails")
	}
	return nil
}
func (b *Bad) GobDecode(p []byte) error     { return b.decode(p) }
func (b *Bad) UnmarshalJSON(p []byte) error { return b.decode(p) }

// Holder has a Bad after fields of other types.
type (
	Holder struct {
		Fresh Fresh
		Bad   Bad
	}
	Fresh struct{ N int }
	// Loose may hold anything.
	Loose struct{ Any any }
)

func init() { gob.Register(Bad{}) }

// Echo answers with its argument, and fails on demand.
type Echo struct{}

func (Echo) Plain(in Plain, out *Plain) error                 { *out = in; return nil }
func (Echo) Rich(in *Rich, out *Rich) error                   { *out = *in; return nil }
func (Echo) Tree(in Tree, out *Tree) error                    { *out = in; return nil }
func (Echo) Int(in int, out *int) error                       { *out = in; return nil }
func (Echo) String(in string, out *string) error              { *out = in; return nil }
func (Echo) Bytes(in []byte, out *[]byte) error               { *out = in; return nil }
func (Echo) Strings(in []string, out *[]string) error         { *out = in; return nil }
func (Echo) Map(in map[string]int, out *map[string]int) error { *out = in; return nil }
func (Echo) Dyn(in map[string]any, out *map[string]any) error { *out = in; return nil }
func (Echo) Opaque(in Opaque, out *Opaque) error              { *out = in; return nil }
func (Echo) Time(in time.Time, out *time.Time) error          { *out = in; return nil }
func (Echo) Nothing(in Nothing, out *Nothing) error           { return nil }
func (Echo) Loose(in Loose, out *Loose) error                 { *out = in; return nil }
func (Echo) Holder(in Holder, out *Holder) error              { *out = in; return nil }
func (Echo) Bad(in Bad, out *Bad) error                       { *out = in; return nil }

// Make returns a Holder with a Bad of the given Mode.
func (Echo) Make(mode string, out *Holder) error { *out = Holder{Fresh{1}, Bad{mode}}; return nil }

// MakeLoose returns a Loose with a Bad after a value of a new type.
func (Echo) MakeLoose(mode string, out *Loose) error {
	*out = Loose{Any: []any{Square{3}, Bad{mode}}}
	return nil
}

// Long answers with a string of n bytes.
func (Echo) Long(n int, out *string) error { *out = strings.Repeat("x", n); return nil }

// waits has a channel for each name passed to Wait.
var waits sync.Map

func waitFor(name string) chan struct{} {
	c, _ := waits.LoadOrStore(name, make(chan struct{}))
	return c.(chan struct{})
}

// Wait returns after Release has been called with the same name.
func (Echo) Wait(name string, out *string) error { <-waitFor(name); *out = name; return nil }

// Release waits for such a call.
func (Echo) Release(name string, out *bool) error { waitFor(name) <- struct{}{}; return nil }

// Fail answers with the given error.
func (Echo) Fail(text string, out *int) error { return errors.New(text) }

func richValue() *Rich {
	n := 7
	plain := Plain{A: 1, B: -2, S: "s", F: 1.5, C: 2i, P: &n, L: []string{"x", ""}, Y: []byte("bytes"), Arr: [3]uint16{1, 0, 65535}, Skip: 9}
	tree := Tree{1, &Tree{Value: 2}, nil, []Tree{{Value: 3, Kids: []Tree{{Value: 4}}}}}
	return &Rich{
		Plain: plain, Tree: tree,
		Shape: &Box{Name: "box", Inner: &Box{Name: "inner", Inner: Square{2}, Any: plain}},
		Any:   "any", Many: []any{"text", true, nil, "more"},
		Map:  map[string]Plain{"p": plain},
		Deep: map[string]map[int][]Tree{"d": {3: {tree}}},
		Dyn:  map[string]any{"k": "v"},
		Op:   Opaque{"opaque"},
		When: time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC),
		Big:  big.NewInt(1 << 40),
	}
}
