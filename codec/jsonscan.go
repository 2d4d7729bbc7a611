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
	open     []byte // the brackets that are open, each as the one that closes it
	last     byte   // in front of what comes next, white space apart; 0 for nothing
	inString bool
	escaped  bool
	bad      bool
	// multiline says that a string may go on behind a newline. It has to be escaped
	// in a string, so that it shows at once that a quote is missing.
	multiline bool
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
	for i, c := range b {
		if s.inString {
			s.within(c)
		} else if !jsonSpace(c) {
			s.outside(c)
			s.last = c
			if len(s.open) == 0 && !s.bad {
				return i + 1, true
			}
		}
		if s.bad {
			return i, true
		}
	}
	return len(b), false
}

// within takes a byte of a string.
func (s *jsonScan) within(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
	case c == '\n':
		s.bad = !s.multiline
	}
}

// outside takes a byte of none, which is not white space.
func (s *jsonScan) outside(c byte) {
	top := len(s.open) - 1
	switch c {
	case '{', '[':
		s.bad = !s.mayBegin()
		s.open = append(s.open, c+2)
	case '"':
		s.bad = top < 0 || !s.mayBegin()
		s.inString = true
	case '}', ']':
		if s.bad = top < 0 || s.open[top] != c; !s.bad {
			s.open = s.open[:top]
		}
	case ',', ':':
		s.bad = top < 0
	case '\'', '`', '/':
		s.bad = true
	default:
		s.bad = top < 0 || s.last == '"' || s.last == '}' || s.last == ']'
	}
}

// mayBegin reports whether a string or a bracket may stand here.
func (s *jsonScan) mayBegin() bool {
	switch s.last {
	case 0, '{', '[', ',', ':':
		return true
	}
	return false
}
