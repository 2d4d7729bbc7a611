package codec

// A RawReply is a reply that is kept as it came, to be decoded later, as json.RawMessage
// keeps a value. The client codecs of this package fill the one that ReadResponseBody is
// given a pointer to, with a copy of what they have received. The zero RawReply is empty.
// It may be copied, and used concurrently once it is filled.
type RawReply struct {
	decode func(reply any) error
}

// Decode decodes the reply, as ReadResponseBody would have, into what reply points to. Its
// errors are DecodeErrors. If reply is nil, it does nothing, and so does an empty RawReply.
func (r *RawReply) Decode(reply any) error {
	if r.decode == nil || reply == nil {
		return nil
	}
	return r.decode(reply)
}
