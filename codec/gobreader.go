package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// gobReader receives pairs of gob values: the header and the body of a request or reply.
// It decodes headers itself. It passes a body to a gob.Decoder after the whole body has
// been received.
type gobReader struct {
	in  inbuf
	err error // the error that ended the stream

	pos   int    // the end of the current message in the frame
	cur   cursor // the rest of the current message
	types gobTypes
	defs  []byte // all type definitions received, each as a message

	body    gobBody
	bodyErr error // the error that ended the stream in the body

	dec  gobDecoder
	raw  *gobRawDecoder // for RawReplies; nil until there is one
	text string         // the last method name, which is reused

	meta gobMeta
}

// gobBody is the position of the value of a body.
type gobBody struct {
	start, end int // in the frame
	defs       int // length of gobReader.defs before the value
}

// gobHeader is the header of a request or a reply. The metadata are for writing only, and
// may be nil.
type gobHeader struct {
	method, errmsg string
	seq            uint64
	request        *RequestMeta
	response       *ResponseMeta
}

func (r *gobReader) init(conn io.Reader, max int64) {
	r.in = inbuf{r: conn, max: max, limitName: gobLimitName}
	r.types = make(gobTypes)
}

// next receives a pair and returns its header. If the stream ends in the body, next
// succeeds and decode returns the error.
func (r *gobReader) next() (gobHeader, error) {
	if r.err != nil {
		return gobHeader{}, r.err
	}
	r.release()
	h, err := r.readHeader()
	if err != nil {
		r.err = err
		return gobHeader{}, err
	}
	r.err = r.readBody()
	r.bodyErr = r.err
	return h, nil
}

func (r *gobReader) readHeader() (h gobHeader, err error) {
	id, err := r.value()
	if err != nil {
		return h, err
	}
	t, err := r.types.find(id)
	if err != nil {
		return h, err
	}
	if t.kind != gobStruct {
		return h, errors.New("codec: gob header is not a struct")
	}
	if !t.header {
		return h, errors.New("codec: gob header has none of a header's fields")
	}
	r.meta.begin(t)
	w := gobWalk{r: r}
	for i, ok := w.field(t, -1); ok; i, ok = w.field(t, i) {
		switch f := &t.fields[i]; f.role {
		case headerMethod:
			h.method = r.share(r.cur.bytes())
		case headerSeq:
			h.seq = r.cur.uint()
		case headerError:
			h.errmsg = string(r.cur.bytes())
		case headerMismatch:
			w.fail(errors.New("codec: gob header has a field of the wrong type"))
		case headerOther:
			w.element(f.id)
		default:
			if r.meta.declared {
				r.meta.read(&r.cur, f.role)
			} else {
				w.element(f.id)
			}
		}
	}
	return h, w.result()
}

// share returns b as a string. It returns the previous string if that is equal.
func (r *gobReader) share(b []byte) string {
	if r.text != string(b) {
		r.text = methodName(b)
	}
	return r.text
}

// readBody receives the body's value. A plain value is one message. Any other value must
// be walked: a value with an interface may consist of several messages, the number of
// entries of a map must be checked before gob allocates memory for it, and the depth of a
// recursive type must be limited.
func (r *gobReader) readBody() error {
	id, err := r.value()
	if err != nil {
		return noEOF(err)
	}
	r.body.defs = len(r.defs)
	if !r.types.plain(id) {
		w := gobWalk{r: r}
		w.value(id)
		if err := w.result(); err != nil {
			return noEOF(err)
		}
	}
	r.body.end = r.pos
	return nil
}

// value receives the type definitions before a value, and the first message of the value.
// It returns the id of its type.
func (r *gobReader) value() (id int64, err error) {
	for {
		r.body.start = r.pos
		if err := r.message(); err != nil {
			return 0, err
		}
		id := r.cur.int()
		if r.cur.bad || id > math.MaxInt32 {
			return 0, errGobStream
		}
		if id >= 0 {
			return id, nil
		}
		if err := r.define(id); err != nil {
			return 0, err
		}
		if len(r.cur.b) > 0 {
			return 0, errGobStream
		}
	}
}

// message receives the next message of the frame. The error is io.EOF only at the
// beginning of a frame.
func (r *gobReader) message() error {
	start := r.pos
	n, prefix := parseUint(r.in.bytes()[start:])
	for prefix == 0 {
		if err := r.in.more(); err != nil {
			if len(r.in.bytes()) > 0 {
				err = noEOF(err)
			}
			return err
		}
		n, prefix = parseUint(r.in.bytes()[start:])
	}
	if prefix < 0 || n == 0 {
		return errGobStream
	}
	begin := start + prefix
	if room := r.in.max - int64(begin); room < 0 || n > uint64(room) {
		return r.in.tooLarge(int64(min(uint64(begin)+min(n, math.MaxInt64/2), math.MaxInt64)))
	}
	end := begin + int(n)
	for len(r.in.bytes()) < end {
		if err := r.in.more(); err != nil {
			return noEOF(err)
		}
	}
	r.cur = cursor{b: r.in.bytes()[begin:end]}
	r.pos = end
	return nil
}

// define reads the definition of type -id from the current message.
func (r *gobReader) define(id int64) error {
	before := r.cur.b
	t, err := gobTypeDef(&r.cur)
	if err != nil {
		return err
	}
	if -id < gobFirstUserID || -id > math.MaxInt32 || r.types[-id] != nil {
		return errGobStream
	}
	def := before[:len(before)-len(r.cur.b)]
	if len(r.types) == maxGobTypes || len(r.defs)+len(def) > maxGobDefs {
		return fmt.Errorf("codec: gob stream defines too many types (%d, %d bytes)", len(r.types), len(r.defs))
	}
	r.types[-id] = t

	var head [9]byte
	idBytes := appendInt(head[:0], id)
	r.defs = appendUint(r.defs, uint64(len(idBytes)+len(def)))
	r.defs = append(append(r.defs, idBytes...), def...)
	return nil
}

// decode decodes the last body into v, which may be nil or a *RawReply.
func (r *gobReader) decode(v any) error {
	if r.bodyErr != nil {
		return r.bodyErr
	}
	if v == nil {
		return nil
	}
	value := r.in.bytes()[r.body.start:r.body.end]
	if raw, ok := v.(*RawReply); ok {
		raw.decode = r.keep(bytes.Clone(value))
		return nil
	}
	return r.dec.decode(r.defs, r.body.defs, value, v)
}

// keep returns a function that decodes a body later. It may refer to the definitions,
// because they are only appended to.
func (r *gobReader) keep(value []byte) func(any) error {
	if r.raw == nil {
		r.raw = new(gobRawDecoder)
	}
	raw, defs, before := r.raw, r.defs, r.body.defs
	return func(v any) error { return raw.decode(defs, before, value, v) }
}

// noEOF replaces io.EOF by io.ErrUnexpectedEOF, for an end within a frame.
func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // a Reader does not wrap it
		return io.ErrUnexpectedEOF
	}
	return err
}
