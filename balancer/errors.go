package balancer

import "errors"

var (
	// ErrNoEndpoints is returned by Pick if there are no endpoints: before the first
	// successful Update, and after an Update with an empty list.
	ErrNoEndpoints = errors.New("balancer: no endpoints; call Update with at least one")

	// ErrAllDown is returned by Pick if every endpoint in use (see Balancer.InUse) is Down
	// or Draining. The caller should fail fast or wait for a state to change. Calls to a
	// Down endpoint could prevent an overloaded service from recovering.
	ErrAllDown = errors.New("balancer: every endpoint is down or draining")

	// ErrAllFull is returned by Pick if no endpoint can be picked, and at least one of
	// them is up but has Config.MaxInFlight calls in flight. Ticket.Done makes room.
	ErrAllFull = errors.New("balancer: every endpoint has Config.MaxInFlight calls in flight")
)
