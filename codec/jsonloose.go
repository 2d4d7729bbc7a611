package codec

import "bytes"

// looseMembers passes on the members of an object that jsonScan has found the end
// of and that is not JSON, as NaN, 007 and a string with a raw control character
// in it are not. It returns false if the members cannot be told apart for certain.
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
			continue // a comma too many, or in a number
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

// looseMember returns where the first member of b has its first colon, -1 if it has
// none, and where it ends.
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

// looseValue reports whether b is a string, an object or an array, or has none of
// them in it.
func looseValue(b []byte) bool {
	switch first(b) {
	case '"', '{', '[':
		value, _ := jsonToken(b)
		return len(value) == len(b)
	}
	return !bytes.ContainsAny(b, `"{[`)
}

// first returns the first byte of b, 0 for none.
func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}
