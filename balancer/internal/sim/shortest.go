package main

import (
	"math/rand/v2"
	"time"
)

// shortest knows what no client knows: how many calls each server has, and which servers
// answer. It picks the server with the fewest calls, of all or of shortestOf random ones. Where
// it has less success than round robin, so has every even distribution of the calls. Where it
// sends a recovered server more than its share, the server's queue is shorter than the others'.
type shortest struct {
	rng *rand.Rand
	w   *world
}

const shortestOf = 200

func (p *shortest) bind(w *world) { p.w = w }

func (p *shortest) pick(c *call, now time.Duration) {
	n := len(p.w.servers)
	first, least, ties := p.rng.IntN(n), -1, 0
	for i := range min(n, shortestOf) {
		k := (first + i) % n
		if n > shortestOf {
			k = p.rng.IntN(n)
		}
		s := &p.w.servers[k]
		if s.dead || s.fails == 1 || now < s.awake {
			continue
		}
		switch load := s.load(); {
		case least < 0 || load < least:
			c.server, least, ties = k, load, 1
		case load == least:
			if ties++; p.rng.IntN(ties) == 0 {
				c.server = k
			}
		}
	}
	if least < 0 {
		c.server = first
	}
}

func (p *shortest) done(*call, time.Duration) {}
