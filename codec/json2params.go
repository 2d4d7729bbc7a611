package codec

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// params appends an argument as parameters.
func (c *jsonClient) params(w *jsonWriter, body any) error {
	start := len(w.out)
	w.text(`,"params":[`)
	value := len(w.out)
	if err := w.value(body); err != nil {
		return err
	}
	first := w.out[value]
	switch {
	case !c.wrap && first == 'n': // null
		w.out = w.out[:start]
	case !c.wrap && (first == '{' || first == '['):
		w.out = append(w.out[:value-1], w.out[value:]...)
	default:
		w.text("]")
	}
	return nil
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decodeParams decodes parameters, nil if there are none, into a method's
// argument, a pointer. See JSON2.NewServer for the rules.
func decodeParams(params []byte, arg any) error {
	if params == nil {
		return nil
	}
	if params[0] == '{' {
		return decodeJSON(params, arg)
	}
	var elements [][]byte
	for e := range jsonElements(params) {
		elements = append(elements, e)
	}
	err := decodePositional(params, elements, arg)
	if err == nil || len(elements) != 1 {
		return err
	}
	if decodeJSON(elements[0], arg) == nil {
		return nil
	}
	return err
}

func decodePositional(params []byte, elements [][]byte, arg any) error {
	v := reflect.ValueOf(arg)
	for v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Pointer && !v.Elem().IsNil() {
		v = v.Elem()
	}
	itself := v.Type().Implements(unmarshaler)
	text := v.Type().Implements(textUnmarshaler)
	switch v = v.Elem(); v.Kind() {
	case reflect.Slice, reflect.Array, reflect.Interface:
		return decodeJSON(params, arg)
	case reflect.Struct:
		object := len(elements) == 1 && elements[0][0] == '{'
		if !itself && !text && !object {
			return decodeFields(elements, v)
		}
	}
	switch {
	case len(elements) == 1:
		return decodeJSON(elements[0], arg)
	case itself:
		return decodeJSON(params, arg)
	}
	return &DecodeError{fmt.Errorf("codec: %d positional parameters, want 1", len(elements))}
}

var errTooManyParams = errors.New("codec: more positional parameters than the argument has fields")

// decodeFields decodes each element into the next field of a struct that JSON
// sees.
func decodeFields(elements [][]byte, v reflect.Value) error {
	i := 0
	for _, e := range elements {
		for i < v.NumField() && !jsonField(v.Type().Field(i)) {
			i++
		}
		if i == v.NumField() {
			return &DecodeError{errTooManyParams}
		}
		if err := decodeJSON(e, v.Field(i).Addr().Interface()); err != nil {
			return err
		}
		i++
	}
	return nil
}

func jsonField(f reflect.StructField) bool { return f.IsExported() && f.Tag.Get("json") != "-" }
