package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// jsonReader receives JSON objects and arrays one at a time. They may be
// separated by white space, which a byte order mark counts as (RFC 8259, section
// 8.1), or by nothing: a peer that ends its messages with a newline and one that
// does not are both understood, and neither is waited for.
type jsonReader struct {
	in   inbuf
	pos  int // the end of the current message
	scan jsonScan
	mark jsonMark // before the current message
	err  error    // what ended the stream; sticky
}

func (r *jsonReader) init(conn io.Reader, max int64, knob string) {
	r.in = inbuf{r: conn, max: max, knob: knob}
}

var errJSONStream = errors.New("codec: malformed JSON: want an object")

// next receives one message, which is valid until the next call. Its flaw is json's
// error if its end is certain and it is not JSON; there may be another message
// behind it, as there may be after an *ExchangeError. Every other err is final: input
// whose end cannot be told is errJSONStream, and nothing behind it is read, because it
// may be of another protocol.
func (r *jsonReader) next() (frame []byte, flaw, err error) {
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
		flaw = json.Unmarshal(frame, new(json.RawMessage))
	}
	return frame, flaw, nil
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

// skipSpace drops white space and byte order marks, and waits for what follows.
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
		if !bytes.HasPrefix(byteOrderMark, b) { // neither nothing nor a part of a mark
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
