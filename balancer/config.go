package balancer

import (
	"fmt"
	"time"
)

// A Config describes a balancer. The zero Config is the recommended one.
type Config struct {
	// Policy chooses among equally eligible nodes. Nil means P2C().
	Policy Policy

	// SlowStart is how long an endpoint that is new or comes back from Down
	// takes to get its full share. It starts with a tenth. 0 means 10 s;
	// negative switches it off. The endpoints of the first Update start warm.
	SlowStart time.Duration

	// Subset is how many endpoints this client uses at least; each client
	// chooses its own. It uses more when its traffic allows it to know more:
	// one for each 10 calls a second, four for each call in flight. 0 means 20 if
	// there are 64 endpoints or more, and all of fewer; negative means all.
	// What is down is made up for, by up to four times as many and 64 more. Hash
	// always uses all. Balancer.InUse says which they are.
	Subset int

	// MaxInFlight is how many calls each endpoint may have in flight. One that
	// has as many is not picked, whatever the policy, until a ticket of it is
	// done. 0 and negative mean no limit.
	MaxInFlight int

	// Initial is the state in which endpoints begin: Ready or Suspect. 0 means Ready.
	// An owner whose endpoints have to be connected first lets them begin as
	// Suspect, so that others are preferred until then.
	Initial State

	// Seed makes the balancer's random choices repeatable, for tests and
	// simulations. Hash does not depend on it. 0 means a random seed, and
	// costs less when many processors pick at once.
	Seed uint64
}

// An Endpoint is a replica as the caller lists it.
type Endpoint struct {
	// ID keys the statistics: an endpoint with the same ID in the next Update
	// keeps them. It must be unique and not empty.
	ID string

	// Weight is the endpoint's capacity relative to others. 0 means 1; at most
	// 1,000,000. RoundRobin ignores it.
	Weight int

	// Priority puts the endpoint into a tier, as that of a DNS SRV record does
	// (RFC 2782): endpoints of a higher number are picked only while every one of
	// a lower number is Down or Draining. Nothing spills over before that, so the
	// lower tier must bear the load with one endpoint left.
	Priority int

	// Value is the caller's own handle. Node.Value returns it.
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
