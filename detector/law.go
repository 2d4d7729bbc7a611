package detector

import "math"

// never is a time or a length of silence that is not reached.
const never = math.MaxInt64

// A law is what the intervals so far say of silence.
type law struct {
	cfg   *Config // with defaults
	limit int64   // MaxSilence without its zero
	n     int

	whole int64   // ns; Normal and Exponential, whose mean is whole + frac
	frac  float64 // ns
	sd    float64 // ns, not below MinStdDev

	mix   mixture // LossAware
	scale calibration
}

// lawWords is the size of a law in a latch.
const lawWords = 11

// pack returns the numbers that unpack makes the law of.
func (l *law) pack() [lawWords]uint64 {
	w := [lawWords]uint64{uint64(l.n)}
	if l.cfg.Model != LossAware {
		w[1], w[2], w[3] = uint64(l.whole), math.Float64bits(l.frac), math.Float64bits(l.sd)
		return w
	}
	for i, f := range [lawWords - 1]float64{
		l.mix.period, l.mix.sd, l.mix.first, l.mix.again, l.mix.tail, l.mix.scale,
		l.scale[0], l.scale[1], l.scale[2], l.scale[3],
	} {
		w[i+1] = math.Float64bits(f)
	}
	return w
}

func (l *law) unpack(w [lawWords]uint64) {
	f := func(i int) float64 { return math.Float64frombits(w[i]) }
	l.n = int(w[0])
	if l.cfg.Model != LossAware {
		l.whole, l.frac, l.sd = int64(w[1]), f(2), f(3)
		return
	}
	l.mix = mixture{period: f(1), sd: f(2), first: f(3), again: f(4), tail: f(5), scale: f(6)}
	l.mix.prepare()
	l.scale = calibration{f(7), f(8), f(9), f(10)}
}

// phi returns the suspicion after silence ns.
func (l *law) phi(silence int64) float64 {
	if l.n == 0 {
		return 0
	}
	pause := int64(l.cfg.AcceptablePause)
	switch l.cfg.Model {
	case LossAware:
		phi := l.scale.phi(l.mix.phi(float64(silence - pause)))
		if silence >= l.limit {
			phi = max(phi, l.cfg.Threshold*(float64(silence)/float64(l.limit)))
		}
		return phi
	case Exponential:
		mean := max(1, float64(l.whole)+l.frac)
		return float64(max(0, silence-pause)) / mean * math.Log10E
	}
	return phiZ((float64(silence-l.whole-pause) - l.frac) / l.sd)
}

// middle returns the mean interval and its deviation.
func (l *law) middle() (mean, sd float64) {
	if l.cfg.Model == LossAware {
		return l.mix.period, l.mix.sd
	}
	return float64(l.whole), l.sd
}

// when returns the least silence at which phi is reached, or never. Secants
// lead close to it, and a bracket that is then halved makes it exact.
func (l *law) when(phi float64, guess int64) int64 {
	if !(phi > 0) {
		return 0
	}
	guess = l.aim(phi, min(max(guess, 0), never-1))
	lo, hi := int64(-1), int64(never) // phi(lo) < phi <= phi(hi)
	for step := int64(1); ; {
		if l.phi(guess) < phi {
			lo = guess
		} else {
			hi = guess
		}
		switch {
		case hi-lo == 1:
			return hi
		case lo == never-1:
			return never
		case hi == never:
			guess += min(step, never-1-guess)
		case lo < 0:
			guess -= min(step, guess)
		default:
			guess = lo + (hi-lo)/2
		}
		if step < never/4 {
			step *= 4
		}
	}
}

// aim improves a guess at when phi is reached. Any result is good enough for
// when; this one saves it most of the way.
func (l *law) aim(phi float64, guess int64) int64 {
	const far = 1 << 62
	x, y := guess, l.phi(guess)-phi
	if math.Abs(y) < 1e-9 {
		return x
	}
	next := guess + guess/1000 + 1
	for range 6 {
		if next < 0 || next > far || next == x {
			break
		}
		was, wasY := x, y
		x, y = next, l.phi(next)-phi
		d := y * (float64(x-was) / (y - wasY))
		if !(math.Abs(d) > 1 && math.Abs(d) < float64(x)) {
			break // there, or on a plateau
		}
		next = x - int64(d)
	}
	return x
}
