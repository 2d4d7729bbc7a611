package detector

import "math"

// levels is the number of levels of phi that are calibrated.
const levels = 4

// A calibration maps the mixture's phi, the raw level, to phi, so that a live peer
// exceeds a phi of 1, 2, 3 and 4 in a share of 10^-1 … 10^-4 of its intervals, even if
// the mixture does not fit. Knot i is the raw level that shares[i] of the intervals
// exceed.
//
// Knots are estimated by adaptive conformal inference (Gibbs and Candès, NeurIPS 2021)
// on a logarithmic scale: an interval that exceeds a knot raises it by a step, and any
// other lowers it by share/(1-share) of a step. The steps cancel out at the wanted share,
// whatever the sequence of intervals.
type calibration [levels]float64

// steps are larger for higher levels, which are exceeded less often. The knots
// remember about 200, 400, 1500 and 5000 intervals.
var steps = [levels]float64{0.025, 0.05, 0.1, 0.2}

var shares = [levels]float64{1e-1, 1e-2, 1e-3, 1e-4}

// grow and shrink are the factors of a step up and down. It is their logarithms that
// must cancel out.
var grow, shrink = func() (up, down [levels]float64) {
	for i, step := range steps {
		up[i], down[i] = math.Exp(step*(1-shares[i])), math.Exp(-step*shares[i])
	}
	return up, down
}()

// minKnot is the least value of a knot, as a share of its level. Without it, the knots
// of a very regular peer, which are never exceeded, would fall to 0.
const minKnot = 0.4

// uncalibrated returns the calibration with a phi equal to the raw level.
func uncalibrated() calibration { return calibration{1, 2, 3, 4} }

// learn adjusts the knots to an interval with a given raw level at its end.
func (c *calibration) learn(raw float64) {
	for i := range c {
		if raw > c[i] {
			c[i] *= grow[i]
		} else if c[i] > minKnot*float64(i+1) {
			c[i] *= shrink[i]
		}
	}
}

// phi interpolates linearly between the knots. Beyond the last one it rises like the raw
// level, or more slowly if the raw levels have been too high.
func (c *calibration) phi(raw float64) float64 {
	low := 0.0
	for i, high := range c {
		high = max(high, low+1e-3) // knots are independent and may cross
		if raw < high {
			return float64(i) + (raw-low)/(high-low)
		}
		low = high
	}
	return levels + (raw-low)*min(1, levels/low)
}
