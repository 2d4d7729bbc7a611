package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
)

// jsonReader receives JSON objects and arrays one at a time. They may be
// separated by white space or by nothing: a peer that ends its messages with a
// newline and one that does not are both understood, and neither is waited for.
type jsonReader struct {
	in   inbuf
	pos  int // the end of the current message
	scan jsonScan
	mark jsonMark // before the current message
	err  error    // what ended the stream; sticky
	// skip says that the rest of a line is to be skipped, because it began with
	// something malformed whose end cannot be told.
	skip bool
}

func (r *jsonReader) init(conn io.Reader, max int64, knob string) {
	r.in = inbuf{r: conn, max: max, knob: knob}
}

var errJSONStream = errors.New("codec: malformed JSON: want an object")

// next receives one message. It is valid until the next call, and well-formed.
// After errJSONStream one may go on, with the next line at the latest; every
// other error is final.
func (r *jsonReader) next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.in.release(r.pos)
	r.pos = 0
	if err := r.receive(); err != nil {
		if err != errJSONStream { //nolint:errorlint // made here, never wrapped
			r.err = err
		}
		return nil, err
	}
	frame := r.in.bytes()[:r.pos]
	if !json.Valid(frame) {
		return nil, errJSONStream
	}
	return frame, nil
}

// ahead reports whether anything but white space has arrived behind the message.
func (r *jsonReader) ahead() bool {
	for _, c := range r.in.bytes()[r.pos:] {
		if !jsonSpace(c) {
			return true
		}
	}
	return false
}

// end makes err the end of the stream.
func (r *jsonReader) end(err error) error {
	r.err = err
	return err
}

func (r *jsonReader) receive() error {
	r.mark = jsonMark{}
	if err := r.skipLine(); err != nil {
		return err
	}
	if err := r.skipSpace(); err != nil {
		return err
	}
	r.scan.reset()
	for {
		n, done := r.scan.end(r.in.bytes()[r.pos:])
		r.pos += n
		if int64(r.pos) > r.in.max {
			return r.in.tooLarge(int64(r.pos))
		}
		if r.scan.bad {
			r.skip = true
			return errJSONStream
		}
		if done {
			return nil
		}
		if err := r.in.more(); err != nil {
			return noEOF(err)
		}
	}
}

// skipLine drops the rest of a malformed line, if there was one.
func (r *jsonReader) skipLine() error {
	for r.skip {
		b := r.in.bytes()
		n := bytes.IndexByte(b, '\n')
		if r.skip = n < 0; r.skip {
			n = len(b) - 1
		}
		r.in.release(n + 1)
		if !r.skip {
			break
		}
		if err := r.in.more(); err != nil {
			return err
		}
	}
	return nil
}

// skipSpace drops white space and waits for what follows it.
func (r *jsonReader) skipSpace() error {
	for {
		b := r.in.bytes()
		n := 0
		for n < len(b) && jsonSpace(b[n]) {
			n++
		}
		r.mark.read(b[:n])
		r.in.release(n)
		if n < len(b) {
			return nil
		}
		if err := r.in.more(); err != nil {
			return err
		}
	}
}

func jsonSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// jsonScan finds the end of an object or array whose bytes come in pieces. It
// matches brackets outside of strings and leaves the rest of the grammar to
// others, but stops as soon as the end cannot be found any more.
type jsonScan struct {
	open     []byte // the brackets that are open, each as the one that closes it
	inString bool
	escaped  bool
	bad      bool
}

func (s *jsonScan) reset() {
	if cap(s.open) > keepBuffer {
		s.open = nil
	}
	*s = jsonScan{open: s.open[:0]}
}

// end returns how much of b belongs to the value, and whether that is its end or
// what makes it bad.
func (s *jsonScan) end(b []byte) (int, bool) {
	for i, c := range b {
		if s.inString {
			switch {
			case s.escaped:
				s.escaped = false
			case c == '\\':
				s.escaped = true
			case c == '"':
				s.inString = false
			case c == '\n': // has to be escaped in a string
				s.bad = true
				return i, true
			}
			continue
		}
		switch c {
		case '{', '[':
			s.open = append(s.open, c+2)
		case '}', ']':
			top := len(s.open) - 1
			if top < 0 || s.open[top] != c {
				s.bad = true
				return i, true
			}
			if s.open = s.open[:top]; top == 0 {
				return i + 1, true
			}
		case '"':
			s.inString = true
			fallthrough
		default:
			if len(s.open) == 0 {
				s.bad = true
				return i, true
			}
		}
	}
	return len(b), false
}

// jsonMembers yields the members of a well-formed object: the name, and the value
// as it is written. Anything else has none.
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

// jsonElements yields the elements of a well-formed array, as they are written.
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

// jsonName takes the quotes off a member's name.
func jsonName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var s string
		if json.Unmarshal(quoted, &s) == nil {
			return []byte(s)
		}
	}
	return quoted[1 : len(quoted)-1]
}

// jsonToken returns the next value of well-formed JSON, without the separators
// before it, and what follows. It returns nil at the end of the enclosing value.
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

// jsonStringLen returns the length of the string that b begins with, quotes
// included.
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
