package rpcx

import (
	"time"

	"resilientrpc/balancer"
)

// Live returns how many endpoints have a prober or connections, those included that
// have left and wait for their last calls.
func (c *Client) Live() int { return len(c.membership.all()) }

// Outside counts the listed endpoints that are not in use by what the balancer
// thinks of them.
func (c *Client) Outside() map[balancer.State]int {
	states := make(map[balancer.State]int)
	for _, n := range c.balancer.Nodes() {
		states[n.State()]++
	}
	for _, n := range c.balancer.InUse(time.Now()) {
		if states[n.State()]--; states[n.State()] == 0 {
			delete(states, n.State())
		}
	}
	return states
}

// InUse returns how many use the client's connections.
func (c *Client) InUse() (n int64) {
	for _, e := range c.endpoints() {
		for _, conn := range e.pool.all() {
			n += int64(conn.Load())
		}
	}
	return n
}
