package main

import (
	"strconv"
	"time"

	"resilientrpc/balancer"
)

// epoch is when virtual time starts.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// ours is the package under test, exactly as it is imported by its users.
type ours struct {
	b *balancer.Balancer
	// name is the ID of the endpoint at each place. Value is the place.
	names []string
	// reported says that servers report their load in replies.
	reported bool
}

func newOurs(n int, c balancer.Config) *ours {
	b, err := balancer.New(c)
	if err != nil {
		panic(err)
	}
	o := &ours{b: b, names: make([]string, n)}
	for i := range o.names {
		o.names[i] = strconv.Itoa(i)
	}
	o.update(0)
	return o
}

// newReported is newOurs of servers that report their load.
func newReported(n int, c balancer.Config) *ours {
	o := newOurs(n, c)
	o.reported = true
	return o
}

func (o *ours) update(now time.Duration) {
	eps := make([]balancer.Endpoint, len(o.names))
	for i, name := range o.names {
		eps[i] = balancer.Endpoint{ID: name, Value: i}
	}
	if err := o.b.Update(epoch.Add(now), eps); err != nil {
		panic(err)
	}
}

func (o *ours) pick(c *call, now time.Duration) {
	ticket, err := o.b.Pick(epoch.Add(now), balancer.PickInfo{})
	if err != nil {
		panic(err) // nothing here puts a node down
	}
	c.ticket = ticket
	c.server = ticket.Node().Value().(int)
}

func (o *ours) done(c *call, now time.Duration) {
	outcome := balancer.Success
	if c.outcome != succeeded {
		outcome = balancer.Failure
	}
	if o.reported && c.running > 0 {
		c.ticket.Node().Report(epoch.Add(now), c.running)
	}
	c.ticket.Done(epoch.Add(now), outcome)
}

// replace gives the servers of some places new identities, as a rolling update
// does.
func (o *ours) replace(from, to int, now time.Duration) {
	for i := from; i < to; i++ {
		o.names[i] += "'"
	}
	o.update(now)
}
