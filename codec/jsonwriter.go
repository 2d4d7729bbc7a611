package codec

import (
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"
)

// jsonWriter sends JSON messages. It adds a newline to each, because some peers wait for
// one.
type jsonWriter struct {
	conn      io.Writer
	max       int64
	limitName string
	retired   error // why nothing more may be written
	enc       *json.Encoder
	out       []byte // the message that is being encoded
	keeper    keeper // of out
}

func (w *jsonWriter) init(conn io.Writer, max int64, limitName string) {
	w.conn, w.max, w.limitName = conn, max, limitName
	w.enc = json.NewEncoder((*jsonSink)(w))
}

// jsonSink is the io.Writer of a jsonWriter's encoder.
type jsonSink jsonWriter

func (s *jsonSink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

// write sends the message that fill appends, by one Write. If the message cannot be
// encoded, it writes nothing.
func (w *jsonWriter) write(fill func(*jsonWriter) error) error {
	if w.retired != nil {
		return &retiredError{w.retired}
	}
	defer w.reset()
	if err := fill(w); err != nil {
		return &EncodeError{err}
	}
	w.text("\n")
	if err := w.tooLarge(); err != nil {
		return &EncodeError{err}
	}
	n, err := w.conn.Write(w.out)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	w.retired = err
	return err
}

func (w *jsonWriter) reset() {
	if !w.keeper.keep(cap(w.out), len(w.out)) {
		w.out = nil
	}
	w.out = w.out[:0]
}

// tooLarge returns a *FrameError if the message is too large.
func (w *jsonWriter) tooLarge() error {
	if size := int64(len(w.out)); size > w.max {
		return &FrameError{Size: size, Max: w.max, limitName: w.limitName}
	}
	return nil
}

func (w *jsonWriter) text(s string) { w.out = append(w.out, s...) }

func (w *jsonWriter) uint(n uint64) { w.out = strconv.AppendUint(w.out, n, 10) }

func (w *jsonWriter) int(n int) { w.out = strconv.AppendInt(w.out, int64(n), 10) }

// quote appends s as a JSON string.
func (w *jsonWriter) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.value(s) //nolint:errcheck // a string can always be encoded
			return
		}
	}
	w.out = append(append(append(w.out, '"'), s...), '"')
}

// raw appends a value that is well-formed JSON, without white space.
func (w *jsonWriter) raw(v []byte) {
	for _, c := range v {
		if c <= ' ' || c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf {
			w.value(json.RawMessage(v)) //nolint:errcheck // it is well-formed
			return
		}
	}
	w.out = append(w.out, v...)
}

// value appends v. A panic in an encoder of the caller's types becomes an error.
func (w *jsonWriter) value(v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("json", p)
		}
	}()
	if err := w.enc.Encode(v); err != nil {
		return err
	}
	w.out = w.out[:len(w.out)-1] // the encoder's newline
	return nil
}
