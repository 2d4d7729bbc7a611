package codec

import (
	"errors"
	"fmt"
	"reflect"
)

// params appends the parameters for an argument.
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
		if first == '[' && hasOneElement(w.out[value-1:]) {
			w.out[len(w.out)-1] = ' '
			w.text("]")
		}
	default:
		w.text("]")
	}
	return nil
}

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

// hasOneElement reports whether a well-formed array has exactly one element.
func hasOneElement(array []byte) bool {
	value, rest := jsonToken(array[1:])
	next, _ := jsonToken(rest)
	return value != nil && next == nil
}

// isArgument reports whether params, an array with one element, is itself the argument.
// Then the method jsonClient.params has put a space before the closing bracket, and no
// other at the ends of the array; other clients hardly do so.
func isArgument(params []byte) bool {
	n := len(params)
	return params[n-2] == ' ' && !jsonSpace(params[n-3]) && !jsonSpace(params[1])
}

func decodePositional(params []byte, elements [][]byte, arg any) error {
	v := reflect.ValueOf(arg)
	for v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Pointer && !v.Elem().IsNil() {
		v = v.Elem()
	}
	itself := v.Type().Implements(unmarshaler)
	text := v.Type().Implements(textUnmarshaler)
	v = v.Elem()
	if itself || v.Kind() == reflect.Interface {
		return decodeAny(params, elements, arg)
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return decodeJSON(params, arg)
	case reflect.Struct:
		object := len(elements) == 1 && elements[0][0] == '{'
		if !text && !object {
			return decodeFields(elements, v)
		}
	}
	if len(elements) == 1 {
		return decodeJSON(elements[0], arg)
	}
	return &DecodeError{fmt.Errorf("codec: %d positional parameters, want 1", len(elements))}
}

// decodeAny decodes parameters into an argument that accepts any JSON value. A single
// parameter is the value.
func decodeAny(params []byte, elements [][]byte, arg any) error {
	if len(elements) == 1 && !isArgument(params) && decodeJSON(elements[0], arg) == nil {
		return nil
	}
	return decodeJSON(params, arg)
}

var errTooManyParams = errors.New("codec: more positional parameters than the argument has fields")

// decodeFields decodes each element into the next field of a struct, without the fields
// that encoding/json ignores.
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
