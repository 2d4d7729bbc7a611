package balancer

import "strconv"

// A State says whether a node may be picked. The caller sets it with
// Balancer.SetState, for example when a breaker opens.
type State uint8

const (
	// Ready: the endpoint has no known fault.
	Ready State = iota
	// Suspect: the endpoint may not answer at once, because it is not connected or has
	// been silent for longer than usual. It is picked only if no Ready one can be, or
	// the call has tried all that can.
	Suspect
	// Down: the endpoint's breaker is open. It is never picked.
	Down
	// Draining: the endpoint finishes its calls in flight. It is never picked.
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
