package codec

import "bytes"

// Prefetcher is implemented by the client codecs of this package. It lets a goroutine wait
// for a reply without having begun to read it, so that it can leave at any moment: what
// has come stays for the next reader.
//
// The goroutine that reads replies calls its methods, between ReadResponseBody and
// ReadResponseHeader.
type Prefetcher interface {
	ReadAhead
	// Prefetch reads once from the connection and keeps what comes. It returns the error
	// of that Read, after which it may be called again if the connection allows it.
	Prefetch() error
	// Rest gives up the memory for replies. It is for a connection without a reader.
	Rest()
	// HasReply reports whether reading the next reply takes nothing more from the
	// connection, and whether that is certain. It is not certain, and only reading can
	// tell, of a reply whose types are new to the codec, or hold interfaces or maps, and
	// of one behind a message that may be none.
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

// release gives up the frame that was read.
func (r *gobReader) release() {
	r.in.release(r.pos)
	r.pos, r.body, r.cur = 0, gobBody{}, cursor{} // cur may lie in a buffer that was let go
}

func (r *gobReader) prefetch() error {
	if r.err != nil {
		return r.err
	}
	r.release()
	return r.in.more()
}

// hasPair reports whether next needs no more bytes: they hold a header and a body, both
// known to be one message each, or what next refuses. It is certain of these.
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
	if has && c.notified.Load() { // it may be the answer to a notification, which is passed over
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

// release gives up the message that was read.
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

// hasReply reports whether next needs no more bytes, and gives a message that is no
// request of the peer's, which a client would pass over. It is certain of messages that
// cannot be one.
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

// mayBeRequest reports whether a message may have a member with the name of method, in
// any spelling.
func mayBeRequest(message []byte) bool {
	for i, c := range message {
		if c == '\\' && i+1 < len(message) && message[i+1] == 'u' || c|0x20 == 'm' && len(message)-i >= 6 && bytes.EqualFold(message[i:i+6], []byte("method")) {
			return true
		}
	}
	return false
}
