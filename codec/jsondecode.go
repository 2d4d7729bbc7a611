package codec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
)

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decodeJSON decodes a value that was received whole.
func decodeJSON(value []byte, v any) error { return unmarshal(owned(value, v), v) }

// unmarshal is json.Unmarshal. A panic in a decoder of the caller's types becomes an error.
func unmarshal(value []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &DecodeError{panicError("json", p)}
		}
	}()
	if err := json.Unmarshal(value, v); err != nil {
		return &DecodeError{err}
	}
	return nil
}

// owned returns value, or a copy of it if v may keep a part of it. UnmarshalJSON and
// UnmarshalText methods should copy the bytes passed to them, but often do not. The value
// is in the reader's buffer, which the next message overwrites; net/rpc/jsonrpc does not
// reuse its buffer.
func owned(value []byte, v any) []byte {
	if !mayKeep(reflect.TypeOf(v)) {
		return value
	}
	return bytes.Clone(value)
}

// keepCache has the results of mayKeep: a bool for each reflect.Type.
var keepCache sync.Map

// mayKeep reports whether decoding into a value of type t may call an UnmarshalJSON or
// UnmarshalText method.
func mayKeep(t reflect.Type) bool {
	if keeps, known := keepCache.Load(t); known {
		return keeps.(bool)
	}
	keeps := reachesUnmarshaler(t, make(map[reflect.Type]bool))
	keepCache.Store(t, keeps)
	return keeps
}

// reachesUnmarshaler searches a type for such a method. An interface may hold a pointer to
// any type.
func reachesUnmarshaler(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if p := reflect.PointerTo(t); p.Implements(unmarshaler) || p.Implements(textUnmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return reachesUnmarshaler(t.Elem(), seen)
	case reflect.Map:
		return reachesUnmarshaler(t.Key(), seen) || reachesUnmarshaler(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if (f.IsExported() || f.Anonymous) && reachesUnmarshaler(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
