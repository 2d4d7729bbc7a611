package balancer

import (
	"math"
	"sync/atomic"
)

// SetSuspicion says how much n is suspected of being dead: phi as a failure
// detector reckons it (Hayashibara et al., "The φ accrual failure detector"), of
// which 1 means that one in ten live nodes is silent for so long, 2 one in a
// hundred. It raises n's cost by the factor 10^phi / 2, the odds against a node
// that is silent for as long as half of the live ones are. Up to a phi of 0.3, and
// for NaN, there is no suspicion.
//
// Unlike the state Suspect it is no verdict: P2C prefers other nodes more and more
// while they have room, among Suspect nodes too, and the other policies do not
// look at it. The next answer of n takes it back, as does a level of 0.
// SetSuspicion may be called at any time, by anyone, and never waits.
func (n *Node) SetSuspicion(phi float64) {
	if !(phi > ordinary) { // NaN too
		phi = 0
	}
	n.suspect.word.Store(math.Float32bits(float32(min(phi, certain))))
}

const (
	// ordinary is the phi that every second silence of a live node reaches.
	ordinary = 0.3010299956639812 // log10(2)
	// certain is a phi beyond which nothing is added, so that scores stay finite.
	certain = 16
)

// A suspicion is a phi as bits of a float32.
type suspicion struct{ word atomic.Uint32 }

func (s *suspicion) level() float64 { return float64(math.Float32frombits(s.word.Load())) }

func (s *suspicion) any() bool { return s.word.Load() != 0 }

// factor returns what a cost is multiplied by if there is any suspicion.
func (s *suspicion) factor() float64 { return math.Pow(10, s.level()-ordinary) }

// clear writes nothing in the common case.
func (s *suspicion) clear() {
	if s.any() {
		s.word.Store(0)
	}
}
