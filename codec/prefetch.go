package codec

import "bytes"

// Prefetcher is implemented by the client codecs of this package. With it a goroutine can
// wait for a reply without reading the reply, and can stop waiting at any time: the bytes
// received are kept for the next reader.
//
// The reading goroutine may call its methods between ReadResponseBody and
// ReadResponseHeader.
type Prefetcher interface {
	ReadAhead
	// Prefetch calls Read of the connection once, and keeps the bytes received. It
	// returns Read's error. It may be called again if the connection allows it.
	Prefetch() error
	// Rest releases the buffers for replies, if they are empty. It is for an idle
	// connection.
	Rest()
	// HasReply reports whether the next reply has been received completely, and whether
	// this answer is certain. It is not certain for a reply whose types have not been
	// used before or contain interfaces or maps, and for a reply after a message that
	// may be no reply.
	HasReply() (has, certain bool)
}

var (
	_ Prefetcher = (*gobClient)(nil)
	_ Prefetcher = (*jsonClient)(nil)
)

// ReadAhead implements Prefetcher.
func (c *gobClient) ReadAhead() bool { return len(c.in.in.bytes()) > c.in.pos }

// Prefetch implements Prefetcher.
func (c *gobClient) Prefetch() error { return c.in.prefetch() }

// HasReply implements Prefetcher.
func (c *gobClient) HasReply() (has, certain bool) { return c.in.hasPair() }

// Rest implements Prefetcher.
func (c *gobClient) Rest() {
	c.in.release()
	c.in.in.rest()
}

// release releases the last frame.
func (r *gobReader) release() {
	r.in.release(r.pos)
	r.pos, r.body, r.cur = 0, gobBody{}, cursor{} // cur may refer to a released buffer
}

func (r *gobReader) prefetch() error {
	if r.err != nil {
		return r.err
	}
	r.release()
	return r.in.more()
}

// hasPair reports whether next needs no more bytes, because they contain either a header
// and a body of one message each, or an error. It also reports whether this is certain.
func (r *gobReader) hasPair() (has, certain bool) {
	rest := r.in.bytes()[r.pos:]
	for values := 0; values < 2; {
		n, prefix := parseUint(rest)
		if prefix == 0 || prefix > 0 && n > uint64(len(rest)-prefix) {
			return r.err != nil, true
		}
		if prefix < 0 || n == 0 {
			return true, true
		}
		message := cursor{b: rest[prefix : prefix+int(n)]}
		rest = rest[prefix+int(n):]
		switch id := message.int(); {
		case message.bad:
			return true, true
		case id < 0: // a definition
		case !r.types.plain(id):
			return false, false
		default:
			values++
		}
	}
	return true, true
}

// ReadAhead implements Prefetcher.
func (c *jsonClient) ReadAhead() bool { return c.in.ahead() }

// Prefetch implements Prefetcher.
func (c *jsonClient) Prefetch() error { return c.in.prefetch() }

// HasReply implements Prefetcher.
func (c *jsonClient) HasReply() (has, certain bool) {
	has, certain = c.in.hasReply()
	if has && c.notified.Load() { // it may be the reply to a notification, which is ignored
		return false, false
	}
	return has, certain
}

// Rest implements Prefetcher.
func (c *jsonClient) Rest() {
	c.reply = jsonReceived{}
	c.in.release()
	c.in.in.rest()
}

// release releases the last message.
func (r *jsonReader) release() {
	r.in.release(r.pos)
	r.pos = 0
}

func (r *jsonReader) prefetch() error {
	if r.err != nil {
		return r.err
	}
	r.release()
	return r.in.more()
}

// hasReply reports whether next needs no more bytes and returns a reply. It also reports
// whether this is certain. It is not certain for a message that may be a request from the
// peer, which the client ignores.
func (r *jsonReader) hasReply() (has, certain bool) {
	message := r.in.bytes()[r.pos:]
	for len(message) > 0 && jsonSpace(message[0]) {
		message = message[1:]
	}
	switch {
	case len(message) == 0:
		return false, true
	case message[0] != '{' && message[0] != '[': // a byte order mark, or no JSON
		return false, false
	}
	r.scan.reset()
	n, done := r.scan.end(message)
	bad := r.scan.bad
	r.scan.reset()
	if !done {
		return false, !bad
	}
	has = !mayBeRequest(message[:n])
	return has, has
}

// mayBeRequest reports whether a message may have a member "method", in any spelling.
func mayBeRequest(message []byte) bool {
	for i, c := range message {
		if c == '\\' && i+1 < len(message) && message[i+1] == 'u' || c|0x20 == 'm' && len(message)-i >= 6 && bytes.EqualFold(message[i:i+6], []byte("method")) {
			return true
		}
	}
	return false
}
