package codec

import (
	"hash/fnv"
	"net/rpc"
)

// A Refuser is a server codec that can answer a request that was not carried out so
// that the client knows it from its peer. The JSON server codecs of this package are.
//
// A JSON-RPC error object proves nothing: a method may have got it from a server of its
// own, and pass it on. So the peer's own refusal has a mark outside of all values, where
// net/rpc's gob has the reply's header: white space before the reply, which is
// insignificant to every other reader, and which a program that decodes a reply and encodes it again
// leaves out. It is made from the request's id, so that it goes with no other reply.
type Refuser interface {
	// Refuse is WriteResponse for an error reply, whose body is not needed. A reply
	// within a batch has no mark.
	Refuse(r *rpc.Response) error
}

// RefusalReader is implemented by the JSON client codecs. Refused reports whether the
// error reply whose header was read last has a [Refuser]'s mark. It may be called by the
// goroutine that reads.
type RefusalReader interface{ Refused() bool }

// jsonMark is a mark as it is read: the last bits of the white space before a message.
type jsonMark struct {
	bits uint64
	n    int // how many there are, in a row
}

func (m *jsonMark) read(space []byte) {
	for _, c := range space {
		switch c {
		case ' ':
			m.bits, m.n = m.bits<<1, m.n+1
		case '\t':
			m.bits, m.n = m.bits<<1|1, m.n+1
		default:
			*m = jsonMark{}
		}
	}
}

// of reports whether it is the mark of the reply with the given id.
func (m *jsonMark) of(id []byte) bool { return m.n == 64 && m.bits == markBits(id) }

// mark appends the mark of the reply with the given id.
func (w *jsonWriter) mark(id []byte) {
	for bits, i := markBits(id), 63; i >= 0; i-- {
		w.out = append(w.out, " \t"[bits>>i&1])
	}
}

func markBits(id []byte) uint64 {
	h := fnv.New64a()
	h.Write(id) //nolint:errcheck // a hash takes it all
	return h.Sum64()
}

// Refuse implements Refuser.
func (s *jsonServer) Refuse(r *rpc.Response) error {
	s.pending.update(r.Seq, func(call *jsonCall) { call.refused = true })
	return s.WriteResponse(r, nil)
}

// Refused implements RefusalReader.
func (c *jsonClient) Refused() bool { return c.reply.refused }
