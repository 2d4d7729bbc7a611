package balancer

import "strconv"

// An Outcome is what a call has shown about the node that it was sent to.
type Outcome uint8

const (
	// Success is a reply without an error. Only its latency may lower the
	// node's latency, and only it lowers the node's error rates.
	Success Outcome = iota
	// AppError is an error that the server's application returned. The server
	// is alive, so it counts as progress and is neutral to the error rate. Its
	// latency may raise the node's latency and never lowers it, or a replica
	// that refuses everything at once would look like the fastest one. A node that
	// refuses far more of its calls than the others do is avoided.
	AppError
	// Failure is a call that got no answer: the endpoint could not be reached,
	// broke the connection, or did not answer in time. It counts for the error
	// rate. Its latency is not used: a fast failure would attract calls and a
	// slow one would hide which of the working nodes is slow.
	Failure
	// Canceled is a call that its caller gave up, such as the slower leg of a
	// hedge. Its true latency is unknown but at least what was seen, so it may
	// raise the node's latency and changes nothing else.
	Canceled
	// NotSent is a call that never left, for example because a limit of our own
	// refused it. It says nothing about the node and only leaves in-flight.
	// Values that are not an Outcome count as NotSent.
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
