package balancer

import "errors"

var (
	// ErrNoEndpoints is returned by Pick before the first successful Update and
	// after one with an empty list.
	ErrNoEndpoints = errors.New("balancer: no endpoints; call Update with at least one")

	// ErrAllDown is returned by Pick when every endpoint is Down or Draining.
	// Picking one regardless would keep an overloaded fleet down, so the caller
	// should fail fast or wait for its next probe.
	ErrAllDown = errors.New("balancer: every endpoint is down or draining")

	// ErrAllFull is returned by Pick when no endpoint can be picked and at least one
	// is so only because it has Config.MaxInFlight calls in flight. The next
	// Ticket.Done makes room.
	ErrAllFull = errors.New("balancer: every endpoint has Config.MaxInFlight calls in flight")
)
