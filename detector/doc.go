// Package detector is an accrual failure detector. It computes phi, the suspicion
// that a peer is dead, from the peer's answers or heartbeats:
//
//	phi = -log10 of the probability that a live peer is silent for this long or longer
//
// (Hayashibara, Defago, Yared and Katayama, SRDS 2004). One in a thousand silences of a
// live peer reaches a phi of 3. The caller decides what to do at which level.
//
// Three calls suffice:
//
//	d.Expect(now)    // a request was sent: the peer owes an answer
//	d.Heartbeat(now) // proof of life: the peer has sent anything
//	d.Phi(now)       // the suspicion
//
// # Silence
//
// A silence begins with the first unanswered Expect, or with the last proof of life if
// that is later. It lasts until the next proof of life. An idle peer owes no answer, so
// its phi is 0.
//
// The detector learns at most one interval in each half of a probe slot
// (Config.FirstInterval), so a burst of answers counts once. An interval counts as a slot
// at least, since a peer that is pinged once per slot may be silent for that long.
//
// If Expect is never called, the detector is that of the paper: the peer sends
// heartbeats unprompted, and each Heartbeat ends an interval and begins a silence. The
// first Expect ends this mode permanently. A caller that uses Expect should call it before
// the first Heartbeat.
//
// # Other parts
//
//   - Guard finds that this process was paused or the machine suspended, and
//     CheckIsolation that most peers became silent at the same time. In both cases no
//     peer should be convicted, and Excuse restarts the silences.
//   - Plan returns the ping interval and the Config for a given detection time.
//   - Gray finds a lasting difference between the detector's view of a peer and the
//     application's.
//
// # Time
//
// The package starts no goroutine and reads no clock. Times should have a monotonic
// reading, as those of time.Now have, so that changes of the wall clock have no effect.
// If a time is earlier than a previous one, no time has passed. Phi is never NaN or infinite.
// It does not fall during a silence, except for rounding.
package detector
