package balancer

import "strconv"

// An Outcome is the result of a call, as evidence about its node.
type Outcome uint8

const (
	// Success: the reply has no error. Only a Success can lower the node's latency and
	// its error rates.
	Success Outcome = iota
	// AppError: the server's application returned an error. The node is alive, so its
	// error rate does not change. The latency of the call can raise the node's, but
	// not lower it: otherwise a replica that returns errors at once would be the
	// fastest. A node with far more application errors than the others is avoided.
	AppError
	// Failure: the endpoint could not be reached, broke the connection, or did not
	// answer in time. It raises the node's error rate. The latency of the call is not
	// used.
	Failure
	// Canceled: the caller canceled the call, for example the slower of two hedged
	// attempts. The latency is a lower bound, so it can raise the node's latency.
	// Nothing else changes.
	Canceled
	// NotSent: the call was not sent, for example because of a limit of the client. It
	// is no evidence. Undefined values count as NotSent.
	NotSent
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case AppError:
		return "app-error"
	case Failure:
		return "failure"
	case Canceled:
		return "canceled"
	case NotSent:
		return "not-sent"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}
