package codec

// jsonScan finds the end of an object or array that arrives in pieces. It matches
// brackets outside of strings. It does not check the rest of the grammar, but sets bad as
// soon as the end has become uncertain.
//
// The end is uncertain if a string or a bracket begins where none can, or is not followed
// by a separator: probably a quote is not escaped, or a bracket or quote is missing. It is
// also uncertain after a character that begins a string or comment in other languages,
// which may contain brackets.
type jsonScan struct {
	open     []byte   // the closing brackets for the open ones
	before   jsonKind // the kind of the last byte, without white space
	inString bool
	escaped  bool // the next byte of the string is escaped
	bad      bool // the end is uncertain
	// multiline accepts newlines in strings. JSON does not allow them, so without
	// multiline a missing quote is found at the end of the line.
	multiline bool
}

// jsonKind is the kind of a byte outside of strings.
type jsonKind uint8

const (
	jsonStart     jsonKind = iota // the beginning of the message, before the first byte
	jsonWord                      // part of a number or a literal, or invalid
	jsonOpen                      // an opening bracket
	jsonClose                     // a closing bracket
	jsonQuote                     // a double quote
	jsonSeparator                 // a comma or a colon
	jsonWhite                     // white space
	jsonForeign                   // begins a string or a comment in other languages
	jsonKindCount
)

var jsonKinds = func() (kinds [256]jsonKind) {
	for c := range kinds {
		kinds[c] = jsonWord
	}
	for kind, bytes := range map[jsonKind]string{
		jsonOpen: "{[", jsonClose: "}]", jsonQuote: `"`, jsonSeparator: ",:", jsonWhite: " \n\r\t", jsonForeign: "'`/",
	} {
		for _, c := range []byte(bytes) {
			kinds[c] = kind
		}
	}
	return kinds
}()

// jsonFollows[a][b] says whether kind b may follow kind a.
var jsonFollows = [jsonKindCount][jsonKindCount]bool{
	jsonStart:     {jsonOpen: true},
	jsonWord:      {jsonWord: true, jsonClose: true, jsonSeparator: true},
	jsonOpen:      {jsonWord: true, jsonOpen: true, jsonClose: true, jsonQuote: true, jsonSeparator: true},
	jsonClose:     {jsonClose: true, jsonSeparator: true},
	jsonQuote:     {jsonClose: true, jsonSeparator: true},
	jsonSeparator: {jsonWord: true, jsonOpen: true, jsonClose: true, jsonQuote: true, jsonSeparator: true},
}

func (s *jsonScan) reset() {
	if cap(s.open) > keepBuffer {
		s.open = nil
	}
	*s = jsonScan{open: s.open[:0], multiline: s.multiline}
}

// end returns how many bytes of b belong to the value, and whether the value ends there or
// is bad.
func (s *jsonScan) end(b []byte) (int, bool) {
	before := s.before
	for i := 0; i < len(b); i++ {
		if s.inString {
			if i += s.within(b[i:]); i == len(b) {
				break
			}
			if s.bad {
				return i, true
			}
		}
		c := b[i]
		kind := jsonKinds[c]
		if kind == jsonWhite || kind == jsonWord && before == jsonWord {
			continue
		}
		if s.bad = !jsonFollows[before][kind]; s.bad {
			return i, true
		}
		before = kind
		switch kind {
		case jsonOpen:
			s.open = append(s.open, c+2)
		case jsonClose:
			top := len(s.open) - 1
			if s.bad = s.open[top] != c; s.bad {
				return i, true
			}
			if s.open = s.open[:top]; top == 0 {
				return i + 1, true
			}
		case jsonQuote:
			s.inString = true
		}
	}
	s.before = before
	return len(b), false
}

// within returns how many bytes of b belong to the string in which b begins.
func (s *jsonScan) within(b []byte) int {
	i := 0
	if s.escaped && len(b) > 0 {
		s.escaped = false
		i++
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			s.inString = false
			return i + 1
		case '\\':
			if i++; i == len(b) {
				s.escaped = true
				return i
			}
		case '\n':
			if !s.multiline {
				s.bad = true
				return i
			}
		}
	}
	return i
}
