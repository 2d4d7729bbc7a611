package codec

import (
	"encoding/json"
	"errors"
	"io"
)

// jsonReader receives JSON objects and arrays one at a time. They may be
// separated by white space or by nothing: a peer that ends its messages with a
// newline and one that does not are both understood, and neither is waited for.
type jsonReader struct {
	in  inbuf
	pos int   // the end of the current message
	err error // what ended the stream; sticky
}

func (r *jsonReader) init(conn io.Reader, max int64) {
	r.in = inbuf{r: conn, max: max, knob: jsonKnob}
}

var errJSONStream = errors.New("codec: malformed JSON: want an object")

// next receives one message. It is valid until the next call, and well-formed.
func (r *jsonReader) next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.in.release(r.pos)
	r.pos = 0
	frame, err := r.receive()
	if err != nil {
		return nil, r.end(err)
	}
	return frame, nil
}

// end makes err the end of the stream.
func (r *jsonReader) end(err error) error {
	r.err = err
	return err
}

func (r *jsonReader) receive() ([]byte, error) {
	if err := r.skipSpace(); err != nil {
		return nil, err
	}
	if c := r.in.bytes()[0]; c != '{' && c != '[' {
		return nil, errJSONStream
	}
	var s jsonScan
	for {
		n, done := s.end(r.in.bytes()[r.pos:])
		r.pos += n
		if int64(r.pos) > r.in.max {
			return nil, r.in.tooLarge(int64(r.pos))
		}
		if done {
			break
		}
		if err := r.in.more(); err != nil {
			return nil, noEOF(err)
		}
	}
	frame := r.in.bytes()[:r.pos]
	if !json.Valid(frame) {
		return nil, errJSONStream
	}
	return frame, nil
}

// skipSpace drops white space and waits for what follows it.
func (r *jsonReader) skipSpace() error {
	for {
		b := r.in.bytes()
		n := 0
		for n < len(b) && jsonSpace(b[n]) {
			n++
		}
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
// counts brackets outside of strings and leaves the grammar to others.
type jsonScan struct {
	depth    int
	inString bool
	escaped  bool
}

// end returns how much of b belongs to the value, and whether that is its end.
func (s *jsonScan) end(b []byte) (int, bool) {
	for i, c := range b {
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.escaped = c == '\\'
			s.inString = c != '"'
		case c == '"':
			s.inString = true
		case c == '{', c == '[':
			s.depth++
		case c == '}', c == ']':
			if s.depth--; s.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), false
}

// jsonMembers calls member for each member of a well-formed object, with its name
// as it is written, quotes included, and its value. It does nothing for an array.
func jsonMembers(object []byte, member func(name, value []byte)) {
	b := object[1:]
	if object[0] != '{' {
		return
	}
	for {
		name, rest := jsonToken(b)
		if name == nil {
			return
		}
		value, rest := jsonToken(rest)
		member(name, value)
		b = rest
	}
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
		var s jsonScan
		n, _ = s.end(b)
	case '"':
		for n = 1; n < len(b) && b[n] != '"'; n++ {
			if b[n] == '\\' {
				n++
			}
		}
		n++
	default:
		for n < len(b) && !jsonSpace(b[n]) && b[n] != ',' && b[n] != '}' && b[n] != ']' {
			n++
		}
	}
	n = min(n, len(b))
	return b[:n], b[n:]
}
