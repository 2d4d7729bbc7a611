package codec

import (
	"hash/fnv"
	"net/rpc"
)

// A Refuser is a server codec that can send a refusal: an error reply with the proof that
// the server did not run the request. The JSON server codecs implement it.
//
// The error object itself is no proof: a method may have received it from another server
// and may return it as its own error. So a refusal has a mark outside of the JSON text: 64
// characters of white space before the reply. Other clients ignore white space, and a
// program that decodes and encodes a reply removes it. The mark is computed from the
// request's id, so it is not valid for another reply.
type Refuser interface {
	// Refuse is WriteResponse for a refusal. A reply in a batch has no mark.
	Refuse(r *rpc.Response) error
}

// RefusalReader is implemented by the JSON client codecs. Refused reports whether the last
// reply has a [Refuser]'s mark. The reading goroutine may call it after
// ReadResponseHeader.
type RefusalReader interface{ Refused() bool }

// jsonMark is the last white space before a message, as bits.
type jsonMark struct {
	bits uint64
	n    int // number of bits
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

// of reports whether m is the mark of a reply with the given id.
func (m *jsonMark) of(id []byte) bool { return m.n == 64 && m.bits == markBits(id) }

// mark appends the mark of a reply with the given id.
func (w *jsonWriter) mark(id []byte) {
	for bits, i := markBits(id), 63; i >= 0; i-- {
		w.out = append(w.out, " \t"[bits>>i&1])
	}
}

func markBits(id []byte) uint64 {
	h := fnv.New64a()
	h.Write(id) //nolint:errcheck // a hash returns no error
	return h.Sum64()
}

// Refuse implements Refuser.
func (s *jsonServer) Refuse(r *rpc.Response) error {
	s.pending.update(r.Seq, func(call *jsonCall) { call.refused = true })
	return s.WriteResponse(r, nil)
}

// Refused implements RefusalReader.
func (c *jsonClient) Refused() bool { return c.reply.refused }
