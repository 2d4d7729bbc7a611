package codec

// jsonScan finds the end of an object or array whose bytes come in pieces. It
// matches brackets outside of strings and leaves the rest of the grammar to
// others, but stops as soon as the end cannot be found any more.
//
// What tells of that, in what is not JSON, is a string or a bracket where none can
// begin, or anything but a separator behind one: a quote was not escaped, or a
// bracket or quote is missing. Quotes and comments of other languages may hold
// brackets.
type jsonScan struct {
	open     []byte   // the brackets that are open, each as the one that closes it
	before   jsonKind // what comes before the next byte, white space apart
	inString bool
	escaped  bool // so is the next byte, of a string
	bad      bool
	// multiline says that a string may go on behind a newline. It has to be escaped
	// in a string, so that it shows at once that a quote is missing.
	multiline bool
}

// jsonKind says what a byte is outside of strings.
type jsonKind uint8

const (
	jsonStart     jsonKind = iota // nothing: the message begins
	jsonWord                      // part of a number, of a name such as true, or of what is neither
	jsonOpen                      // a bracket
	jsonClose                     // the other one
	jsonQuote                     // of a string
	jsonSeparator                 // a comma or a colon
	jsonWhite                     // white space
	jsonForeign                   // what strings and comments of other languages begin with
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

// jsonFollows says which kind may follow upon which.
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

// end returns how much of b belongs to the value, and whether that is its end or
// what makes it bad.
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

// within returns how much of b belongs to the string that it begins in.
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
