package balancer

import "strconv"

// A State says whether a node may be picked. The owner of the node's breaker
// and failure detector pushes it with SetState.
type State uint8

const (
	// Ready is an endpoint without known fault.
	Ready State = iota
	// Suspect is an endpoint that may not be able to serve at once: it is not
	// connected, or has been silent for longer than usual. It is picked only when no
	// Ready one can be.
	Suspect
	// Down is an endpoint whose breaker is open. It is never picked.
	Down
	// Draining is an endpoint that finishes the calls it has and gets no more.
	Draining
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Ready:
		return "ready"
	case Suspect:
		return "suspect"
	case Down:
		return "down"
	case Draining:
		return "draining"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}
