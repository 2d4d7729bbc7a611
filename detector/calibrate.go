package detector

import "math"

// levels is the number of levels of phi that are held to their promise.
const levels = 4

// A calibration maps what a law says to phi, so that a living peer exceeds 1,
// 2, 3 and 4 in a share of 10^-1 … 10^-4 of its intervals whether or not the law
// fits. Each knot is the law's level that is exceeded by one of these shares.
// It is found by counting: exceeded, it grows by a step; not exceeded, it shrinks
// by that fraction of the step which balances at the promised share. In the
// long run the shares are right for any sequence of intervals, because the
// steps must cancel out: adaptive conformal inference (Gibbs and Candès,
// NeurIPS 2021), in the logarithm of the level.
type calibration [levels]float64

// steps are larger for the rarer levels, which have less to learn from: some
// 200, 400, 1500 and 5000 intervals are what each knot remembers.
var steps = [levels]float64{0.025, 0.05, 0.1, 0.2}

var shares = [levels]float64{1e-1, 1e-2, 1e-3, 1e-4}

// grow and shrink are the factors of the steps; their logarithms, not they
// themselves, must cancel out.
var grow, shrink = func() (up, down [levels]float64) {
	for i, step := range steps {
		up[i], down[i] = math.Exp(step*(1-shares[i])), math.Exp(-step*shares[i])
	}
	return up, down
}()

// doubt is how far below its nominal level a knot may sink. Nothing is
// learned from a peer so regular that no knot is ever exceeded.
const doubt = 0.4

// uncalibrated takes the law at its word.
func uncalibrated() calibration { return calibration{1, 2, 3, 4} }

// learn takes note of an interval at whose end the law said raw.
func (c *calibration) learn(raw float64) {
	for i := range c {
		if raw > c[i] {
			c[i] *= grow[i]
		} else if c[i] > doubt*float64(i+1) {
			c[i] *= shrink[i]
		}
	}
}

// phi is linear between the knots. Beyond the last, where there are no counts, it
// follows the law, or less than the law in the measure that it boasted.
func (c *calibration) phi(raw float64) float64 {
	low := 0.0
	for i, high := range c {
		high = max(high, low+1e-3) // knots learn each by itself and may cross
		if raw < high {
			return float64(i) + (raw-low)/(high-low)
		}
		low = high
	}
	return levels + (raw-low)*min(1, levels/low)
}
