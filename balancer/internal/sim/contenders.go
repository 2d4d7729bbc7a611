package main

import (
	"math/rand/v2"

	"resilientrpc/balancer"
)

// A contender makes the picker of one client.
type contender struct {
	name string
	make func(servers int, seed uint64) picker
}

var contenders = []contender{
	{"ours", func(n int, seed uint64) picker { return newOurs(n, balancer.Config{Seed: seed}) }},
	{"ours, load in replies", func(n int, seed uint64) picker { return newReported(n, balancer.Config{Seed: seed}) }},
	{"grpc-go round_robin", func(n int, _ uint64) picker { return newGRPC("round_robin", "", n) }},
	{"grpc-go least_request", func(n int, _ uint64) picker {
		return newGRPC("least_request_experimental", `{"choiceCount": 2}`, n)
	}},
	{"Finagle P2C least loaded*", func(n int, seed uint64) picker {
		return &leastLoaded{rng: rng(seed), nodes: make([]nodeState, n)}
	}},
	{"Finagle Peak EWMA*", func(n int, seed uint64) picker {
		return &peakEWMA{rng: rng(seed), nodes: make([]nodeState, n)}
	}},
	{"linkerd2 Peak EWMA*", func(n int, seed uint64) picker {
		p := &peakEWMA{rng: rng(seed), nodes: make([]nodeState, n), penalty: 5e9, readOnly: true}
		for i := range p.nodes {
			p.nodes[i].cost = 30e6
		}
		return p
	}},
	{"go-zero P2C*", func(n int, seed uint64) picker {
		p := &goZero{rng: rng(seed), nodes: make([]nodeState, n)}
		trust(p.nodes)
		return p
	}},
	{"kratos P2C*", func(n int, seed uint64) picker {
		p := &kratos{rng: rng(seed), nodes: make([]nodeState, n)}
		trust(p.nodes)
		return p
	}},
	{"Prequal*", func(n int, seed uint64) picker { return &prequal{rng: rng(seed), n: n} }},
	{"C3's score*", func(n int, seed uint64) picker {
		return &c3{prequal: prequal{rng: rng(seed), n: n}, own: make([]float64, n), service: make([]float64, n)}
	}},
}

func trust(nodes []nodeState) {
	for i := range nodes {
		nodes[i].success = 1000
	}
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0xb07)) }

// named returns the contender of a name.
func named(name string) contender {
	for _, c := range contenders {
		if c.name == name {
			return c
		}
	}
	panic("no contender " + name)
}
