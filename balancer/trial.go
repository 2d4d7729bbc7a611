package balancer

import (
	"sync/atomic"
	"time"
)

// A node that fails calls is avoided, so only a call can show that it works again. It gets
// one, a trial, after a quarter of the time for which it has failed calls, or after a second.
// A trial that succeeds ends the effect of past failures. One that fails makes the next wait
// longer, so that the number of calls lost to a fault grows with the logarithm of its length.
//
// Trials cost calls, so a client has 13 in advance, and another one for each 2000 calls. When
// it has spent 5 of them, a trial waits for the full quarter, and when it has spent all,
// for 15 s.

const (
	// trialPart is the part of a spell after which a trial is due.
	trialPart = 1.0 / 4
	// minTrialWait is the least time from a failure to a trial. The others are the most, by
	// the number of trials that the client has spent. With a smaller minTrialWait, a fault
	// of 20 s costs a client with 500 calls a second more than one call in a thousand.
	minTrialWait   = 600 * time.Millisecond
	earlyTrialWait = time.Second
	lateTrialWait  = 15 * time.Second
	// trialCost is the number of calls for which the client has another trial.
	trialCost   = 2000
	earlyTrials = 5 * trialCost
	allTrials   = 13 * trialCost
	// trialBatch is the number of calls that the fleet counts at once, so that processors
	// seldom contend for the count.
	trialBatch = 64
	// trialShare is the largest share of its fair share of the calls that a node gets for
	// trials. It matters to a client that calls each node seldom.
	trialShare = 1.0 / 4
	// spellGap is the time without a failure that ends a spell, beyond the length of the
	// spell.
	spellGap = 5 * time.Second
)

// The same in ticks.
const (
	minTrialTicks   = float64(minTrialWait) / (1 << tickShift)
	earlyTrialTicks = float64(earlyTrialWait) / (1 << tickShift)
	lateTrialTicks  = float64(lateTrialWait) / (1 << tickShift)
	spellGapTicks   = float64(spellGap) / (1 << tickShift)
)

// A spell is a time in which a node fails calls: the ticks of its first and its last failure,
// in one word. Zero means that there was none. The lowest bit says that a trial has
// succeeded since the last failure.
type spell struct{ word atomic.Uint64 }

const recovered = 1

func unpackSpell(w uint64) (first, last uint32) { return uint32(w >> 32), uint32(w) &^ recovered }

// clear forgets the spell.
func (s *spell) clear() { s.word.Store(0) }

// fail adds the failure of a call. It reports whether the call was a trial.
func (s *spell) fail(start, tick uint32) (trial bool) {
	for {
		w := s.word.Load()
		first, last := unpackSpell(w)
		trial = isTrial(w, start)
		if w == 0 || ticks(last, tick) > ticks(first, last)+spellGapTicks {
			first, trial = tick, false
		}
		if s.word.CompareAndSwap(w, uint64(first)<<32|uint64(tick&^recovered)) {
			return trial
		}
	}
}

// succeed adds the success of a call.
func (s *spell) succeed(start uint32) {
	if w := s.word.Load(); w != 0 && w&recovered == 0 && isTrial(w, start) {
		s.word.CompareAndSwap(w, w|recovered)
	}
}

// isTrial reports whether a call that began at start was a trial, or might have been one.
func isTrial(w uint64, start uint32) bool {
	first, last := unpackSpell(w)
	return ticks(last, start) >= quarter(first, last, earlyTrialTicks)
}

// quarter returns the time from the last failure of a spell to a trial.
func quarter(first, last uint32, most float64) float64 {
	return min(max(trialPart*ticks(first, last), minTrialTicks), most)
}

// forgives reports whether a pick considers n as if it had not failed calls: since a trial
// has succeeded, or for a trial. A trial is due after a wait, if no call is in flight, and
// then by chance.
func (v *View) forgives(n *Node, tick uint32, fleet norm, inflight int64) bool {
	w := n.spell.word.Load()
	if w&recovered != 0 {
		return true
	}
	first, last := unpackSpell(w)
	wait := lateTrialTicks
	switch spent := v.owner.fleet.spent.Load(); {
	case spent < earlyTrials:
		wait = quarter(first, last, earlyTrialTicks)
	case spent < allTrials:
		wait = quarter(first, last, lateTrialTicks)
	}
	return inflight == 0 && ticks(last, tick) >= wait && fraction(v.Rand())*v.compared(fleet) < trialShare
}

// compared returns the usual number of nodes that a pick compares. It is the number of picks
// that consider a node, relative to its fair share of them.
func (v *View) compared(fleet norm) float64 {
	n := len(v.nodes)
	switch {
	case n <= scanSize:
		return float64(n)
	case fleet.reports() == 0:
		return 2
	}
	return float64(fleet.maxSamples(n))
}

// failed adds the failure of a call to the spell, and counts a failed trial. Under strain all
// nodes fail calls, and failures are not those of trials.
func (n *Node) failed(start, tick uint32, fleet norm) {
	if spent := &n.owner.fleet.spent; n.spell.fail(start, tick) && spent.Load() < allTrials {
		spent.Add(int64(trialCost * (1 - fleet.strain)))
	}
}

// succeeded adds the success of a call to the spell, and to the calls that earn further
// trials.
func (n *Node) succeeded(start uint32, healthy bool) {
	if !healthy {
		n.spell.succeed(start)
	}
	if spent := &n.owner.fleet.spent; n.calls.picks()%trialBatch == 0 && spent.Load() > 0 {
		spent.Add(-trialBatch)
	}
}
