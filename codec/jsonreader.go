package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// jsonReader receives JSON objects and arrays one at a time. There may be white space and
// byte order marks between them (RFC 8259, section 8.1), but none is required.
type jsonReader struct {
	in   inbuf
	pos  int // the end of the current message
	scan jsonScan
	mark jsonMark // before the current message
	err  error    // the error that ended the stream
}

func (r *jsonReader) init(conn io.Reader, max int64, limitName string) {
	r.in = inbuf{r: conn, max: max, limitName: limitName}
}

var errJSONStream = errors.New("codec: malformed JSON: want an object")

// next receives one message. The slice is valid until the next call. If the message is not
// valid JSON but its end is certain, syntaxErr is json's error, and the next message can be
// read. The next message can also be read if err is an *ExchangeError. Any other err ends
// the stream. It is errJSONStream if the end of the message is not certain: the input may
// be another protocol.
func (r *jsonReader) next() (frame []byte, syntaxErr, err error) {
	if r.err != nil {
		return nil, nil, r.err
	}
	r.release()
	r.scan.reset()
	if err := r.receive(); err != nil {
		if r.pos == 0 && exchangeError(err) != nil {
			return nil, nil, err
		}
		return nil, nil, r.end(err)
	}
	frame = r.in.bytes()[:r.pos]
	if !json.Valid(frame) {
		syntaxErr = json.Unmarshal(frame, new(json.RawMessage))
	}
	return frame, syntaxErr, nil
}

// ahead reports whether anything but white space has been received after the message.
func (r *jsonReader) ahead() bool {
	for _, c := range r.in.bytes()[r.pos:] {
		if !jsonSpace(c) {
			return true
		}
	}
	return false
}

// end ends the stream with err.
func (r *jsonReader) end(err error) error {
	r.err = err
	return err
}

func (r *jsonReader) receive() error {
	r.mark = jsonMark{}
	if err := r.skipSpace(); err != nil {
		return err
	}
	for {
		n, done := r.scan.end(r.in.bytes()[r.pos:])
		r.pos += n
		if int64(r.pos) > r.in.max {
			return r.in.tooLarge(int64(r.pos))
		}
		if r.scan.bad {
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

// byteOrderMark is U+FEFF in UTF-8.
var byteOrderMark = []byte("\ufeff")

// skipSpace removes white space and byte order marks, and waits for the next byte.
func (r *jsonReader) skipSpace() error {
	for {
		b := r.in.bytes()
		n := 0
		for n < len(b) && jsonSpace(b[n]) {
			n++
		}
		r.mark.read(b[:n])
		bom := bytes.HasPrefix(b[n:], byteOrderMark)
		if bom {
			n += len(byteOrderMark)
		}
		r.in.release(n)
		b = b[n:]
		if bom {
			continue
		}
		if !bytes.HasPrefix(byteOrderMark, b) { // b is not empty, and not a part of a byte order mark
			return nil
		}
		if err := r.in.more(); err != nil {
			if len(b) > 0 {
				err = noEOF(err)
			}
			return err
		}
	}
}

func jsonSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
