package codec

// A RawReply is a reply that is decoded later, like a json.RawMessage. If a *RawReply is
// passed to ReadResponseBody of a client codec of this package, the codec stores a copy of
// the received bytes in it. The zero RawReply is empty. A RawReply may be copied, and its
// methods may be called concurrently.
type RawReply struct {
	decode func(reply any) error
}

// Decode decodes the reply into the value to which reply points. The error is a
// *DecodeError. If reply is nil, or the RawReply is empty, Decode does nothing.
func (r *RawReply) Decode(reply any) error {
	if r.decode == nil || reply == nil {
		return nil
	}
	return r.decode(reply)
}
