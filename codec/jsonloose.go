package codec

import "bytes"

// looseMembers calls member for each member of an object that is not valid JSON, because
// of NaN, 007 or a raw control character, for example. jsonScan has found the end of the
// object. It returns false if the members are ambiguous.
func looseMembers(object []byte, member func(name, value []byte)) bool {
	if object[0] != '{' {
		return false
	}
	for rest := object[1 : len(object)-1]; len(rest) > 0; {
		colon, end := looseMember(rest)
		piece := rest[:end]
		rest = rest[min(end+1, len(rest)):]
		if colon < 0 {
			if bytes.ContainsAny(piece, `"{[`) {
				return false
			}
			continue // an extra comma, or one in a number
		}
		name, value := bytes.TrimSpace(piece[:colon]), bytes.TrimSpace(piece[colon+1:])
		if !looseValue(value) || !looseValue(name) {
			return false
		}
		switch first(name) {
		case '{', '[':
			return false
		case '"':
			name = jsonName(name)
		}
		member(name, value)
	}
	return true
}

// looseMember returns the index of the first colon of b's first member, or -1, and the
// index of the member's end.
func looseMember(b []byte) (colon, end int) {
	colon, depth := -1, 0
	for end < len(b) {
		switch b[end] {
		case '"':
			end += jsonStringLen(b[end:])
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ':':
			if depth == 0 && colon < 0 {
				colon = end
			}
		case ',':
			if depth == 0 {
				return colon, end
			}
		}
		end++
	}
	return colon, end
}

// looseValue reports whether b is a string, an object or an array, or contains none.
func looseValue(b []byte) bool {
	switch first(b) {
	case '"', '{', '[':
		value, _ := jsonToken(b)
		return len(value) == len(b)
	}
	return !bytes.ContainsAny(b, `"{[`)
}

// first returns the first byte of b, or 0 if b is empty.
func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}
