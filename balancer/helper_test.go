package balancer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// epoch is when virtual time starts.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// setState puts the node with an ID into a state, and reports whether there is one.
func setState(b *balancer.Balancer, now time.Time, id string, s balancer.State) bool {
	for _, n := range b.Nodes() {
		if n.ID() == id {
			return b.SetState(now, n, s)
		}
	}
	return false
}

// endpoints returns n endpoints "0", "1", …, whose Value is their index.
func endpoints(n int) []balancer.Endpoint {
	eps := make([]balancer.Endpoint, n)
	for i := range eps {
		eps[i] = balancer.Endpoint{ID: fmt.Sprint(i), Value: i}
	}
	return eps
}

// fleetOf returns a balancer over n endpoints at epoch.
func fleetOf(t testing.TB, n int, c balancer.Config) *balancer.Balancer {
	t.Helper()
	if c.Seed == 0 {
		c.Seed = 1
	}
	b, err := balancer.New(c)
	require.NoError(t, err)
	require.NoError(t, b.Update(epoch, endpoints(n)))
	return b
}

// index returns which of the endpoints n is.
func index(n *balancer.Node) int { return n.Value().(int) }

// pick is Pick that must succeed. It is called too often for t.Helper.
func pick(t testing.TB, b *balancer.Balancer, now time.Time, in balancer.PickInfo) balancer.Ticket {
	ticket, err := b.Pick(now, in)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// counts returns how many of k picks, done at once with outcome Success after
// took, each endpoint gets.
func counts(t testing.TB, b *balancer.Balancer, now time.Time, k, n int, took time.Duration) []int {
	t.Helper()
	got := make([]int, n)
	for range k {
		ticket := pick(t, b, now, balancer.PickInfo{})
		got[index(ticket.Node())]++
		ticket.Done(now.Add(took), balancer.Success)
	}
	return got
}
