package balancer

import (
	"math"
	"sync/atomic"
)

// SetSuspicion sets the suspicion that n is dead: the phi of an accrual failure detector
// (Hayashibara et al., "The φ accrual failure detector"). One in ten silences of a live node
// reaches a phi of 1, and one in a hundred 2. P2C multiplies n's cost by 10^phi / 2. A phi
// up to log10(2), which half of a live node's silences reach, and NaN count as 0, and one
// above 16 counts as 16.
//
// Suspicion has a gradual effect, unlike the state Suspect: P2C prefers other nodes as
// long as they have room. Other policies ignore it. The next reply of n, or a phi of 0,
// clears it. SetSuspicion may be called concurrently and never blocks.
func (n *Node) SetSuspicion(phi float64) {
	if !(phi > ordinary) { // NaN too
		phi = 0
	}
	n.suspect.word.Store(math.Float32bits(float32(min(phi, certain))))
}

const (
	// ordinary is the phi that half of a live node's silences reach.
	ordinary = 0.3010299956639812 // log10(2)
	// certain is the largest phi that counts, so that scores are finite.
	certain = 16
)

// A suspicion is a phi as bits of a float32.
type suspicion struct{ word atomic.Uint32 }

func (s *suspicion) level() float64 { return float64(math.Float32frombits(s.word.Load())) }

func (s *suspicion) any() bool { return s.word.Load() != 0 }

// factor returns the factor on the cost of a node under suspicion.
func (s *suspicion) factor() float64 { return math.Pow(10, s.level()-ordinary) }

// clear sets the suspicion to 0. Mostly it is 0 already, and nothing is written.
func (s *suspicion) clear() {
	if s.any() {
		s.word.Store(0)
	}
}
