package detector

import "math"

// never is a time or a length of silence that is not reached.
const never = math.MaxInt64

// A law is what the intervals so far say of silence. It is immutable: readers
// load one pointer and so never see a mean and a deviation of two windows.
type law struct {
	model   Model
	n       int
	whole   int64   // mean: whole + frac, ns
	frac    float64 //
	sd      float64 // ns, not below MinStdDev
	pause   int64
	timeout int64 // the silence at which phi reaches the threshold

	mix        mixture // LossAware
	scale      calibration
	threshold  float64
	maxSilence int64 // phi is the threshold from here on, whatever was learned
}

// phi returns the suspicion after silence ns.
func (l *law) phi(silence int64) float64 {
	if l.n == 0 {
		return 0
	}
	switch l.model {
	case LossAware:
		phi := l.scale.phi(l.mix.phi(float64(silence - l.pause)))
		if silence >= l.maxSilence {
			phi = max(phi, l.threshold*(float64(silence)/float64(l.maxSilence)))
		}
		return phi
	case Exponential:
		mean := max(1, float64(l.whole)+l.frac)
		return float64(max(0, silence-l.pause)) / mean * math.Log10E
	}
	return phiZ((float64(silence-l.whole-l.pause) - l.frac) / l.sd)
}

// when returns the least silence at which phi is reached, or never. It looks
// around guess first, so a good guess makes it two evaluations.
func (l *law) when(phi float64, guess int64) int64 {
	if !(phi > 0) {
		return 0
	}
	lo, hi := int64(-1), int64(never) // phi(lo) < phi <= phi(hi)
	guess = min(max(guess, 0), never-1)
	for step := int64(1); ; {
		if l.phi(guess) < phi {
			lo = guess
		} else {
			hi = guess
		}
		switch {
		case lo == guess && hi == never:
			if guess == never-1 {
				return never
			}
			guess += min(step, never-1-guess)
		case hi == guess && lo < 0:
			if guess == 0 {
				return 0
			}
			guess -= min(step, guess)
		case hi-lo == 1:
			return hi
		default:
			guess = lo + (hi-lo)/2
		}
		if step < never/4 {
			step *= 4
		}
	}
}
