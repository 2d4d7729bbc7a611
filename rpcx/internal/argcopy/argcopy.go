// Package argcopy copies the arguments of calls that are encoded after their caller may
// have changed them.
//
// The encoding of a copy is that of the original at the time of the copying. A value of
// which that cannot be had is not copied at all. The package starts no goroutine, does no
// I/O, calls no method of a value, and imports nothing but the standard library.
package argcopy

import (
	"encoding"
	"encoding/gob"
	"encoding/json"
	"net/netip"
	"reflect"
	"sync"
	"time"
)

// When Go has returned, args are the caller's again, as in net/rpc, which has encoded
// them by then. A call that is sent later, or again, needs them as they were. They
// cannot be encoded once for all: what a value looks like on the wire depends on what
// its connection has carried before. So they are copied, and only as far as the wire
// looks: a value without references needs nothing, since the interface that holds it
// holds a copy.

// Copy returns a copy of args whose encoding is theirs, whatever becomes of the
// original. Foreign says that the codec is not of this module, so that nothing is known
// of what it looks at. It returns false if a faithful copy cannot be made: of private
// state behind references that only an encoder of the type's own knows to read, and of
// what must not be copied, as a lock.
func Copy(args any, foreign bool) (any, bool) {
	switch v := args.(type) { // a few that need no reflection
	case nil, string, bool, int, int64, float64, time.Duration, struct{}:
		return args, true
	case []byte:
		if v == nil {
			return args, true
		}
		return append(make([]byte, 0, len(v)), v...), true
	}
	c := copier{foreign}
	src := reflect.ValueOf(args)
	shape := c.shape(src.Type())
	switch {
	case shape.opaque:
		return nil, false
	case shape.flat:
		return args, true
	}
	dst := reflect.New(src.Type()).Elem()
	if !c.copy(dst, src, 0) {
		return nil, false
	}
	return dst.Interface(), true
}

// copier copies values as a codec sees them.
type copier struct{ foreign bool }

// shape is what there is to copy of a type's values.
type shape struct {
	opaque bool  // they cannot be copied
	flat   bool  // a codec finds no reference in them
	plain  bool  // flat, and an assignment copies them
	assign bool  // a struct's are assigned before its fields are copied
	fields []int // of a struct: those to be copied, the others need nothing more
}

// shapes of types, by copier and type.
var shapes [2]sync.Map

func (c copier) shape(t reflect.Type) *shape {
	known := &shapes[0]
	if c.foreign {
		known = &shapes[1]
	}
	if s, ok := known.Load(t); ok {
		return s.(*shape)
	}
	s := c.find(t)
	known.Store(t, s)
	return s
}

// immutable are types whose references lead to what never changes.
var immutable = map[reflect.Type]bool{
	reflect.TypeFor[time.Time]():      true,
	reflect.TypeFor[netip.Addr]():     true,
	reflect.TypeFor[netip.AddrPort](): true,
	reflect.TypeFor[netip.Prefix]():   true,
}

func (c copier) find(t reflect.Type) *shape {
	if immutable[t] {
		return &shape{flat: true, plain: true}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return &shape{}
	case reflect.Array:
		e := c.shape(t.Elem())
		return &shape{opaque: e.opaque, flat: e.flat, plain: e.plain}
	case reflect.Struct:
		return c.findStruct(t)
	}
	return &shape{flat: true, plain: true} // channels and functions too: no codec looks behind them
}

// findStruct looks at the fields of a struct. The codecs of this module look at the
// exported ones only, unless the type encodes itself.
func (c copier) findStruct(t reflect.Type) *shape {
	private := c.foreign || encodesItself(t)
	s := &shape{flat: true, plain: true, assign: private}
	if private && isLock(t) {
		return &shape{opaque: true}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		switch field := c.shape(f.Type); {
		case f.IsExported():
			s.add(i, field, private)
		case private:
			s.opaque = s.opaque || field.opaque || !field.plain
		case f.Anonymous && f.Type.Kind() == reflect.Struct: // whose exported fields JSON takes for its own
			s.add(i, field, false)
			s.plain, s.opaque = false, s.opaque || field.assign // of which it has no right to make one
		case f.Anonymous && f.Type.Kind() == reflect.Pointer: // likewise, and it cannot be set
			s.opaque = true
		default:
			s.plain = false
		}
	}
	return s
}

// add notes a field that a codec sees. One that the assignment has copied is done.
func (s *shape) add(i int, field *shape, assigned bool) {
	s.opaque = s.opaque || field.opaque
	s.flat = s.flat && field.flat
	s.plain = s.plain && field.plain
	if !assigned || !field.plain {
		s.fields = append(s.fields, i)
	}
}

var encoders = []reflect.Type{
	reflect.TypeFor[gob.GobEncoder](), reflect.TypeFor[encoding.BinaryMarshaler](),
	reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](),
}

// encodesItself reports whether a codec calls a method of the type, which may read
// what is private.
func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t) // has the methods of both
	for _, encoder := range encoders {
		if p.Implements(encoder) {
			return true
		}
	}
	return false
}

// isLock reports whether values of the type must not be copied, as go vet has it.
func isLock(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[sync.Locker]())
}

// maxDepth bounds copies: a cycle has no end. A codec has an error for that, or dies of
// it as in net/rpc.
const maxDepth = 10_000

// copy makes dst, which is zero, a copy of src.
func (c copier) copy(dst, src reflect.Value, depth int) bool {
	s := c.shape(src.Type())
	switch {
	case s.opaque || depth > maxDepth:
		return false
	case s.plain:
		dst.Set(src)
		return true
	}
	switch src.Kind() {
	case reflect.Struct:
		return c.copyStruct(s, dst, src, depth)
	case reflect.Array:
		return c.copyElements(dst, src, depth)
	}
	if src.IsNil() {
		return true
	}
	switch src.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(src.Type().Elem()))
		return c.copy(dst.Elem(), src.Elem(), depth+1)
	case reflect.Interface:
		return c.copyHeld(dst, src, depth)
	case reflect.Map:
		return c.copyMap(dst, src, depth)
	}
	dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
	if c.shape(src.Type().Elem()).plain {
		reflect.Copy(dst, src)
		return true
	}
	return c.copyElements(dst, src, depth)
}

func (c copier) copyStruct(s *shape, dst, src reflect.Value, depth int) bool {
	if s.assign {
		dst.Set(src)
	}
	for _, i := range s.fields {
		to, from := dst.Field(i), src.Field(i)
		if t := from.Type(); !src.Type().Field(i).IsExported() {
			if !c.copyStruct(c.shape(t), to, from, depth+1) {
				return false
			}
			continue
		}
		if s.assign {
			to.SetZero()
		}
		if !c.copy(to, from, depth+1) {
			return false
		}
	}
	return true
}

// copyHeld copies an interface.
func (c copier) copyHeld(dst, src reflect.Value, depth int) bool {
	value := src.Elem()
	if s := c.shape(value.Type()); s.flat && !s.opaque {
		dst.Set(src)
		return true
	}
	held := reflect.New(value.Type()).Elem()
	if !c.copy(held, value, depth+1) {
		return false
	}
	dst.Set(held)
	return true
}

func (c copier) copyElements(dst, src reflect.Value, depth int) bool {
	for i := range src.Len() {
		if !c.copy(dst.Index(i), src.Index(i), depth+1) {
			return false
		}
	}
	return true
}

func (c copier) copyMap(dst, src reflect.Value, depth int) bool {
	dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
	for entries := src.MapRange(); entries.Next(); {
		key, value := reflect.New(src.Type().Key()).Elem(), reflect.New(src.Type().Elem()).Elem()
		if !c.copy(key, entries.Key(), depth+1) || !c.copy(value, entries.Value(), depth+1) {
			return false
		}
		dst.SetMapIndex(key, value)
	}
	return true
}
