package balancer_test

import (
	"errors"
	"fmt"
	"time"

	"resilientrpc/balancer"
)

// A retry avoids the node that has failed.
func Example() {
	b, err := balancer.New(balancer.Config{})
	if err != nil {
		panic(err)
	}
	now := time.Now()
	err = b.Update(now, []balancer.Endpoint{
		{ID: "10.0.0.1:1234", Value: "refuses"},
		{ID: "10.0.0.2:1234", Value: "works"},
	})
	if err != nil {
		panic(err)
	}
	var in balancer.PickInfo
	for {
		ticket, err := b.Pick(now, in)
		if err != nil {
			panic(err)
		}
		node := ticket.Node()
		if node.Value() == "works" {
			ticket.Done(now.Add(time.Millisecond), balancer.Success)
			fmt.Println("served by", node.ID())
			return
		}
		ticket.Done(now, balancer.Failure)
		in.Try(node)
	}
	// Output: served by 10.0.0.2:1234
}

// The breakers of both endpoints are open, so Pick returns an error.
func ExampleBalancer_SetState() {
	b, _ := balancer.New(balancer.Config{})
	now := time.Now()
	_ = b.Update(now, []balancer.Endpoint{{ID: "a"}, {ID: "b"}})
	nodes := b.Nodes()
	b.SetState(now, nodes[0], balancer.Down)
	ticket, _ := b.Pick(now, balancer.PickInfo{})
	fmt.Println(ticket.Node().ID())
	b.SetState(now, nodes[1], balancer.Down)
	_, err := b.Pick(now, balancer.PickInfo{})
	fmt.Println(errors.Is(err, balancer.ErrAllDown))
	// Output:
	// b
	// true
}

// sticky is a custom policy: it picks the first node while that has few calls in flight, and
// otherwise the node with the lowest Score.
type sticky struct{}

func (sticky) Picker(v *balancer.View) balancer.Picker { return stickyPicker{v} }

type stickyPicker struct{ view *balancer.View }

func (p stickyPicker) Pick(now time.Time, in balancer.PickInfo) *balancer.Node {
	var best *balancer.Node
	for _, n := range p.view.Nodes() {
		if in.Tried(n) || !p.view.Admit(now, n) {
			continue
		}
		if n.InFlight() < 2 {
			return n
		}
		if best == nil || p.view.Score(now, n) < p.view.Score(now, best) {
			best = n
		}
	}
	return best
}

func ExamplePolicy() {
	b, _ := balancer.New(balancer.Config{Policy: sticky{}})
	now := time.Now()
	_ = b.Update(now, []balancer.Endpoint{{ID: "a"}, {ID: "b"}})
	for range 3 {
		ticket, _ := b.Pick(now, balancer.PickInfo{})
		fmt.Print(ticket.Node().ID(), " ")
	}
	// Output: a a b
}
