package main

import (
	"time"

	"resilientrpc/balancer"
	"resilientrpc/detector"
)

// watched is ours with a failure detector for each server, which pings in slots
// without a sign of life as package rpcx does.
type watched struct {
	*ours
	w         *world
	slot      time.Duration
	detectors []*detector.Detector
	heard     []time.Duration
	pinged    []bool // and not answered yet
	verdict   bool   // a level of 1 makes the server suspect
	graded    bool   // lower ones raise its cost
}

// suspicionLevels are those at which rpcx tells the balancer.
var suspicionLevels = []float64{.5, .75, 1, 1.5, 2, 3, 4}

func (p *watched) watch(w *world, slot, until time.Duration) {
	p.w, p.slot = w, slot
	n := len(p.names)
	p.detectors, p.heard, p.pinged = make([]*detector.Detector, n), make([]time.Duration, n), make([]bool, n)
	for i := range p.detectors {
		// In the proportions of rpcx's defaults, which are for slots of a second.
		d, err := detector.New(detector.Config{FirstInterval: slot, AcceptablePause: slot / 2, MinStdDev: slot / 10})
		if err != nil {
			panic(err)
		}
		p.detectors[i] = d
		for at := slot; at < until; at += slot {
			w.at(at, func() { p.ping(i) })
		}
	}
}

// ping asks for a sign of life at the end of a slot without one.
func (p *watched) ping(i int) {
	now := p.w.now
	if now-p.heard[i] >= p.slot/2 && !p.pinged[i] {
		p.pinged[i] = true
		p.detectors[i].Expect(epoch.Add(now))
		p.w.at(now, func() { p.answer(i) })
	}
	p.judge(i)
}

// answer is a ping's, which a server that pauses gives when it is awake.
func (p *watched) answer(i int) {
	if s := &p.w.servers[i]; p.w.now < s.awake {
		p.w.at(s.awake, func() { p.answer(i) })
		return
	}
	p.pinged[i] = false
	p.alive(i, p.w.now)
}

func (p *watched) alive(i int, now time.Duration) {
	p.heard[i] = now
	p.detectors[i].Heartbeat(epoch.Add(now))
}

// judge tells the balancer of the level and wakes at the next one.
func (p *watched) judge(i int) {
	now, d, n := epoch.Add(p.w.now), p.detectors[i], p.b.Nodes()[i]
	phi := d.Phi(now)
	if p.graded {
		n.SetSuspicion(phi)
	}
	if p.verdict {
		state := balancer.Ready
		if phi >= 1 {
			state = balancer.Suspect
		}
		p.b.SetState(now, n, state)
	}
	for _, level := range suspicionLevels {
		if level > phi {
			if at := d.Deadline(level); !at.IsZero() && at.After(now) {
				p.w.at(at.Sub(epoch), func() { p.judge(i) })
			}
			return
		}
	}
}

func (p *watched) pick(c *call, now time.Duration) {
	p.ours.pick(c, now)
	p.detectors[c.server].Expect(epoch.Add(now))
}

func (p *watched) done(c *call, now time.Duration) {
	p.ours.done(c, now)
	if c.outcome == succeeded {
		p.alive(c.server, now)
	}
}
