package detector

import "math"

// never is a time or a length of silence that is not reached.
const never = math.MaxInt64

// A distribution is that of the length of a live peer's silences, estimated from the
// intervals.
type distribution struct {
	cfg   *Config // with defaults
	limit int64   // MaxSilence with its default, or never
	n     int     // intervals

	whole int64   // ns; the mean of Normal and Exponential is whole + frac
	frac  float64 // ns
	sd    float64 // ns, not below MinStdDev

	mix   mixture // LossAware
	scale calibration
}

// distributionWords is the size of a distribution in a latch.
const distributionWords = 11

// pack returns the distribution as words; unpack is the inverse.
func (l *distribution) pack() [distributionWords]uint64 {
	w := [distributionWords]uint64{uint64(l.n)}
	if l.cfg.Model != LossAware {
		w[1], w[2], w[3] = uint64(l.whole), math.Float64bits(l.frac), math.Float64bits(l.sd)
		return w
	}
	for i, f := range [distributionWords - 1]float64{
		l.mix.period, l.mix.sd, l.mix.first, l.mix.again, l.mix.tail, l.mix.scale,
		l.scale[0], l.scale[1], l.scale[2], l.scale[3],
	} {
		w[i+1] = math.Float64bits(f)
	}
	return w
}

func (l *distribution) unpack(w [distributionWords]uint64) {
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

// phi returns the suspicion after a silence in ns.
func (l *distribution) phi(silence int64) float64 {
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

// middle returns the mean and the standard deviation of the intervals, in ns.
func (l *distribution) middle() (mean, sd float64) {
	if l.cfg.Model == LossAware {
		return l.mix.period, l.mix.sd
	}
	return float64(l.whole), l.sd
}

// when returns the least silence at which phi is reached, or never. It begins with the
// secant method and ends with bisection, which makes it exact.
func (l *distribution) when(phi float64, guess int64) int64 {
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

// aim improves a guess at the silence at which phi is reached, by the secant method. when
// is correct with any guess, and faster with a good one.
func (l *distribution) aim(phi float64, guess int64) int64 {
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
			break // close enough, or phi is constant here
		}
		next = x - int64(d)
	}
	return x
}
