// Package protocol is what a Client and a Serve of this module tell each other beyond
// net/rpc's protocol: that a request was refused, and how busy the server is.
//
// It guarantees that both ends use the same words. It holds no state and imports nothing
// but the standard library.
package protocol

// RefusedMethod is the method that net/rpc's server is asked for in place of a request
// that is refused, and does not find. In the header of a reply it is the mark of a
// refusal, where the codec's replies have a method name: a method cannot write there.
// Other codecs have the mark of a codec.Refuser.
const RefusedMethod = "rpcx.refused"

// A Refusal is the answer of a server that did not run a request. With the mark it
// proves that: it comes from the peer itself, and concerns this request.
type Refusal struct{ text string }

// Error returns the text that the server sends.
func (r *Refusal) Error() string { return r.text }

// The reasons of a refusal.
var (
	ErrDraining = &Refusal{"rpcx: the server is draining and did not run the method"}
	ErrLate     = &Refusal{"rpcx: the deadline had passed when the server read the request, and it did not run the method"}
	ErrMaxConns = &Refusal{"rpcx: the server has all the connections that it may have and did not run the method"}
)

// Retires reports whether the connection takes no further requests, either.
func (r *Refusal) Retires() bool { return r != ErrLate }

// RefusalOf returns the refusal with the given text, or nil if there is none.
func RefusalOf(text string) *Refusal {
	switch text {
	case ErrDraining.text:
		return ErrDraining
	case ErrLate.text:
		return ErrLate
	case ErrMaxConns.text:
		return ErrMaxConns
	}
	return nil
}

// Health is Serve's reply to a ping, a call of codec.PingMethod.
type Health struct {
	Running int // requests that run on the server now, the ping included
	// Meta says that the server understands metadata and cancellations: see
	// codec.MetaClient.SetMetaSupport.
	Meta bool
}
