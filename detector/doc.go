// Package detector tells how likely it is that a peer is dead, from what was
// heard of it. The answer is phi, the accrual level of Hayashibara, Defago,
// Yared and Katayama (SRDS 2004): phi = -log10 of the chance that a living
// peer would be silent for this long or longer. A phi of 3 is wrong about once
// in a thousand silences; what to do at which level is the caller's affair.
//
// Two calls are the evidence and one is the answer:
//
//	d.Expect(now)    // something was sent that the peer owes an answer for
//	d.Heartbeat(now) // proof of life: anything at all came back
//	d.Phi(now)       // how suspicious is the silence
//
// Silence counts only while something is owed: it runs from the first
// unanswered Expect, or from the last proof of life if that is later. An idle
// peer therefore stays trusted, and bursts of answers do not teach the
// detector the traffic in place of the peer: one sample enters the window in
// each probe slot (Config.FirstInterval), and none counts as shorter than the
// slot, because a peer that is asked once a slot may be silent for that long.
//
// A detector on which Expect was never called is the detector of the paper:
// the peer sends heartbeats unprompted, silence runs from the last Heartbeat, and
// every interval is a sample. The first Expect ends that, for good; a caller
// that will use Expect calls it before the first Heartbeat.
//
// A silence may be the fault of this side: a Guard finds that this process was
// paused or the machine suspended, and Crowd that most peers fell silent at once. Both convict no peer; Excuse then starts the silences
// anew. Plan turns the detection time that is wanted into a ping interval and a
// Config, and Gray tells when the detector's view of a peer and that of its
// users have differed for long.
//
// A Detector starts no goroutine and reads no clock. All methods may be called
// concurrently. Times should carry Go's monotonic reading, as those of time.Now
// do, so that steps of the wall clock are not seen; a time that runs backwards
// counts as no time passed. Phi is never NaN and never infinite, and does not
// fall while the silence lasts, but for the rounding of its last digits.
package detector
