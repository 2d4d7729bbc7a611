package rpcx

// refusedMethod is what net/rpc's server is asked for in place of a request that is
// refused, and does not find. It is the mark of a refusal in the header of a reply, where
// the codec's replies have one: a method cannot write there. Other codecs have a
// codec.Refuser's.
const refusedMethod = "rpcx.refused"

// A refusal is the answer of a server that did not run a request. If it has the mark, it
// is the proof of that: it comes from the peer itself, and concerns this request.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

var (
	errDraining = &refusal{"rpcx: the server is draining and did not run the method"}
	errCrowded  = &refusal{"rpcx: the server has all the connections that it may have and did not run the method"}
)

// refusalOf recognizes a refusal by its text. It returns nil if it is none.
func refusalOf(text string) error {
	switch text {
	case errDraining.text:
		return errDraining
	case errCrowded.text:
		return errCrowded
	}
	return nil
}

// isRefusal reports whether err is the answer of a server that did not run the request.
func isRefusal(err error) bool {
	_, ok := err.(*refusal) //nolint:errorlint // made by our tap, never wrapped
	return ok
}
