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

// unmarshal is json.Unmarshal. Panics of the decoders of the caller's own types
// become errors.
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

// owned returns the value for v to keep, a copy if v can: json hands a piece of it
// to UnmarshalJSON and UnmarshalText, which are to copy it and often do not. Behind
// net/rpc/jsonrpc's decoder that does no harm. The value lies in the reader's
// buffer, which the next message overwrites.
func owned(value []byte, v any) []byte {
	if !mayKeep(reflect.TypeOf(v)) {
		return value
	}
	return bytes.Clone(value)
}

// keeping has what mayKeep has found out: a bool for each reflect.Type.
var keeping sync.Map

// mayKeep reports whether to decode into a value of type t may call a method of the
// caller's.
func mayKeep(t reflect.Type) bool {
	if keeps, known := keeping.Load(t); known {
		return keeps.(bool)
	}
	keeps := reachesUnmarshaler(t, make(map[reflect.Type]bool))
	keeping.Store(t, keeps)
	return keeps
}

// reachesUnmarshaler searches a type. An interface may hold a pointer to anything.
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
