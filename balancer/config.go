package balancer

import (
	"fmt"
	"time"
)

// A Config describes a balancer. The zero Config is the recommended one.
type Config struct {
	// Policy picks among nodes of the same state and priority. Nil means P2C().
	Policy Policy

	// SlowStart is the time in which an endpoint that is new or was Down goes from a
	// tenth of its share of calls to all of it. 0 means 10 s; negative disables slow
	// start. Endpoints that are added to an empty list have no slow start.
	SlowStart time.Duration

	// Subset is the least number of endpoints that this client uses. Which ones differs
	// from client to client. A client with more traffic uses more: one for each 10 calls
	// a second and four for each call in flight. Endpoints that are down do not count; to
	// replace them, the subset extends to at most four times its size plus 64. 0 means
	// 20 of 64 endpoints or more, and all of fewer; negative means all. Hash always uses
	// all. See Balancer.InUse.
	Subset int

	// MaxInFlight is the largest number of calls in flight per endpoint. An endpoint
	// with this many is not picked. 0 or negative means no limit.
	MaxInFlight int

	// Initial is the state of a new endpoint: Ready or Suspect. 0 means Ready. Suspect
	// is for endpoints that are not connected yet: others are preferred.
	Initial State

	// Seed makes the random choices repeatable, for tests and simulations. 0 means a
	// random seed, and is faster if many processors pick at the same time. The node of
	// a PickInfo.Key does not depend on it.
	Seed uint64
}

// An Endpoint is a replica as the caller lists it.
type Endpoint struct {
	// ID identifies the endpoint. Statistics are kept if the next Update has the same
	// ID. It must be unique and not empty.
	ID string

	// Weight is the endpoint's capacity relative to others. 0 means 1; at most
	// 1,000,000. RoundRobin ignores it.
	Weight int

	// Priority is the number of the endpoint's tier, like that of a DNS SRV record (RFC
	// 2782). Endpoints are picked only while all endpoints with a lower number are Down
	// or Draining. Even a single one that is up gets all calls.
	Priority int

	// Value is for the caller's use. Node.Value returns it.
	Value any
}

const maxWeight = 1_000_000

func check(eps []Endpoint) error {
	seen := make(map[string]int, len(eps))
	for i := range eps {
		ep := &eps[i]
		if ep.ID == "" {
			return fmt.Errorf("balancer: Endpoint.ID of endpoint %d is empty; want a unique name, such as its address", i)
		}
		if j, twice := seen[ep.ID]; twice {
			return fmt.Errorf("balancer: Endpoint.ID %q is listed twice, at %d and %d; list it once and set its Weight", ep.ID, j, i)
		}
		seen[ep.ID] = i
		if ep.Weight < 0 || ep.Weight > maxWeight {
			return fmt.Errorf("balancer: Endpoint.Weight of %q is %d; want a value from 0 to %d", ep.ID, ep.Weight, maxWeight)
		}
	}
	return nil
}
