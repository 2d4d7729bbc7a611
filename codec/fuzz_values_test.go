package codec_test

import (
	"bytes"
	"encoding/gob"
	"io"
	"net/rpc"
	"reflect"
	"testing"
	"time"

	"resilientrpc/codec"
)

// values makes values of the bytes that it is given, interfaces within interfaces
// above all.
type values struct{ from []byte }

func (v *values) next() int {
	if len(v.from) == 0 {
		return 0
	}
	b := v.from[0]
	v.from = v.from[1:]
	return int(b)
}

func (v *values) shape() Shape {
	switch v.next() % 3 {
	case 1:
		return Square{v.next()}
	case 2:
		return v.box()
	}
	return nil
}

func (v *values) box() *Box { return &Box{Name: "box"[:v.next()%4], Inner: v.shape(), Any: v.any()} }

func (v *values) tree() Tree {
	t := Tree{Value: v.next()}
	if v.next()%3 == 1 {
		left := v.tree()
		t.Left = &left
	}
	for range v.next() % 3 {
		t.Kids = append(t.Kids, v.tree())
	}
	return t
}

func (v *values) any() any {
	switch v.next() % 8 {
	case 1:
		return v.box()
	case 2:
		return Square{v.next()}
	case 3:
		return v.tree()
	case 4:
		var list []any
		for range v.next() % 4 {
			list = append(list, v.any())
		}
		return append(list, "end")
	case 5:
		return Plain{A: v.next(), L: []string{"l"}}
	case 6:
		return v.next()
	case 7:
		return time.Unix(int64(v.next()), 0).UTC()
	}
	return "any"
}

// body returns a value and where it can be decoded.
func (v *values) body() (value, into any) {
	switch v.next() % 6 {
	case 1:
		return *v.box(), new(Box)
	case 2:
		return v.tree(), new(Tree)
	case 3:
		return []any{v.any(), v.any()}, new([]any)
	case 4:
		return map[string]any{"a": v.any(), "b": v.any()}, new(map[string]any)
	case 5:
		return Plain{A: v.next()}, new(Plain)
	}
	return Loose{v.any()}, new(Loose)
}

// FuzzGobValues reads replies with all kinds of values from a gob.Encoder. Some are
// discarded, and some decoded into a wrong type. The others must be decoded.
func FuzzGobValues(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{1, 3, 2, 1, 1, 2, 4, 4, 1, 2, 5, 2, 1, 9, 9, 9, 9, 4, 4, 4, 3, 2, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		v := &values{data[:min(len(data), 4000)]}
		var b bytes.Buffer
		enc := gob.NewEncoder(&b)
		type sent struct{ value, into any }
		var want []sent
		for len(v.from) > 0 {
			value, into := v.body()
			if enc.Encode(rpc.Response{Seq: uint64(len(want))}) != nil || enc.Encode(value) != nil {
				t.Fatal("cannot be encoded") // not even with the types registered
			}
			switch v.next() % 4 {
			case 1:
				into = nil
			case 2:
				into = new(chan int)
			}
			want = append(want, sent{value, into})
		}
		c := codec.NewGobClient(play(b.Bytes()))
		for i, w := range want {
			var r rpc.Response
			if err := c.ReadResponseHeader(&r); err != nil || r.Seq != uint64(i) {
				t.Fatalf("header %d: %+v, %v", i, r, err)
			}
			err := c.ReadResponseBody(w.into)
			if _, wrong := w.into.(*chan int); w.into == nil || wrong {
				continue
			}
			if got := reflect.ValueOf(w.into).Elem().Interface(); err != nil || !reflect.DeepEqual(got, w.value) {
				t.Fatalf("body %d: %+v, want %+v, %v", i, got, w.value, err)
			}
		}
		if err := c.ReadResponseHeader(new(rpc.Response)); err != io.EOF {
			t.Fatalf("end: %v", err)
		}
	})
}
