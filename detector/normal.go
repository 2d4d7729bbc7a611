package detector

import "math"

var halfLn2Pi = math.Log(2*math.Pi) / 2

// phiZ returns -log10 Q(z), where Q is the upper tail of the normal distribution. Its
// relative error is below 1e-14 for z >= -8, and it is finite for every finite z. (1-erf
// is 0, and its logarithm infinite, from z = 8.2 on, and erfc from 38.5 on.)
func phiZ(z float64) float64 {
	switch {
	case z < 0:
		return -math.Log1p(-math.Erfc(-z/math.Sqrt2)/2) / math.Ln10
	case z < 26:
		return -math.Log10(math.Erfc(z/math.Sqrt2) / 2)
	}
	return -lnTail(z) / math.Ln10
}

// lnTail returns ln Q(z) for z >= 26 by Laplace's asymptotic series.
func lnTail(z float64) float64 {
	r := 1 / (z * z)
	s := r * (-1 + r*(3+r*(-15+r*(105+r*(-945+r*(10395-r*135135))))))
	return math.Log1p(s) - z*z/2 - math.Log(z) - halfLn2Pi
}
