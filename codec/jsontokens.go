package codec

import (
	"bytes"
	"encoding/json"
	"iter"
)

// jsonMembers yields the names and raw values of a well-formed object's members. It yields
// nothing for any other value.
func jsonMembers(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if len(object) == 0 || object[0] != '{' {
			return
		}
		for b := object[1:]; ; {
			name, rest := jsonToken(b)
			if name == nil {
				return
			}
			value, rest := jsonToken(rest)
			if !yield(jsonName(name), value) {
				return
			}
			b = rest
		}
	}
}

// jsonElements yields the raw elements of a well-formed array.
func jsonElements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := array[1:]; ; {
			value, rest := jsonToken(b)
			if value == nil || !yield(value) {
				return
			}
			b = rest
		}
	}
}

// jsonName returns a member's name without quotes and escapes.
func jsonName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var s string
		if json.Unmarshal(quoted, &s) == nil {
			return []byte(s)
		}
	}
	return quoted[1 : len(quoted)-1]
}

// jsonToken returns the next value of well-formed JSON, without the separators before it,
// and the rest. It returns nil at the end of the enclosing value.
func jsonToken(b []byte) (value, rest []byte) {
	for len(b) > 0 && (jsonSpace(b[0]) || b[0] == ',' || b[0] == ':') {
		b = b[1:]
	}
	if len(b) == 0 || b[0] == '}' || b[0] == ']' {
		return nil, nil
	}
	n := 0
	switch b[0] {
	case '{', '[':
		for depth := 0; n < len(b); {
			switch b[n] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case '"':
				n += jsonStringLen(b[n:]) - 1
			}
			if n++; depth == 0 {
				return b[:n], b[n:]
			}
		}
	case '"':
		n = jsonStringLen(b)
	default:
		for n < len(b) && !jsonSpace(b[n]) && b[n] != ',' && b[n] != '}' && b[n] != ']' {
			n++
		}
	}
	n = min(n, len(b))
	return b[:n], b[n:]
}

// jsonStringLen returns the length of the string at the beginning of b, with its quotes.
func jsonStringLen(b []byte) int {
	for n := 1; n < len(b); n++ {
		switch b[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
	return len(b)
}
