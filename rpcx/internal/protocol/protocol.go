// Package protocol has the extensions of net/rpc's protocol between rpcx's Client and Serve:
// refusals, the health of a server, and the question of what became of a call. Both ends use
// its constants.
//
// It has no state, and imports only the standard library.
package protocol

// RefusedMethod marks a refusal. It is the method name in the header of the reply, which a
// method cannot set. The server replaces the name of the refused request by RefusedMethod,
// which net/rpc's server does not find. Codecs whose replies have no method name use the
// mark of a codec.Refuser.
const RefusedMethod = "rpcx.refused"

// A Refusal is the error of a request that the server did not run. If the reply has the
// mark, this is certain: the error is from the server itself, and for this request.
type Refusal struct{ text string }

// Error returns the text that the server sends.
func (r *Refusal) Error() string { return r.text }

// The refusals.
var (
	ErrDraining = &Refusal{"rpcx: the server is draining and did not run the method"}
	ErrLate     = &Refusal{"rpcx: the deadline had passed when the server read the request, and it did not run the method"}
	ErrMaxConns = &Refusal{"rpcx: the server has all the connections that it may have and did not run the method"}
)

// Retires reports whether the server refuses all further requests on the connection, too.
func (r *Refusal) Retires() bool { return r == ErrDraining || r == ErrMaxConns }

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
	return answerOf(text)
}

// Health is Serve's reply to a ping, a call of codec.PingMethod.
type Health struct {
	Running int // requests running on the server, including this ping, but no other
	// Meta says that the server supports metadata and cancellations; see
	// codec.MetaClient.SetMetaSupport.
	Meta bool
}
