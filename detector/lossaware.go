package detector

import "math"

// A memory is LossAware's statistics of the intervals: moving averages in place of a
// window. A new interval, or sample, has the weight 1/n until n reaches size, and 1/size
// from then on.
//
// A sample is one of three: timely; lossy, that is, close to a multiple of the period,
// since heartbeats were lost; or late, that is, longer than jitter explains.
type memory struct {
	size   float64 // samples remembered
	n      float64 // samples, at most size
	period float64 // ns, mean of timely samples
	spread float64 // ns², their variance
	lost   float64 // share of lossy samples
	more   float64 // mean number of further losses, after the first, in a sample
	excess float64 // ns, mean lateness beyond the jitter
	square float64 // ns², mean square of this lateness
	outage int     // samples until the last outage is forgotten
}

const (
	lateFrom  = 3    // standard deviations of jitter; a sample beyond them is late
	maxLost   = 16   // most losses that one sample counts
	priorTail = 0.05 // periods: scale of the lateness before the first late sample
)

// seed sets the averages before the first sample: a given period, with an eighth of it
// as standard deviation and the weight of Akka's two samples.
func (m *memory) seed(first int64) {
	m.n, m.period = 2, float64(first)
	m.spread = m.period * m.period / 64
}

// recordOutage records an outage and reports whether the memory holds an earlier one.
// A single outage is a failure and should not be learned. Repeated ones are typical of
// the peer: if they were not learned, phi would be too high for ever for a peer that
// loses one heartbeat in ten.
func (m *memory) recordOutage() (repeated bool) {
	repeated = m.outage > 0
	m.outage = int(m.size)
	return repeated
}

func (m *memory) add(x int64) {
	m.outage = max(0, m.outage-1)
	if m.n == 0 {
		m.seed(max(1, x))
		m.n = 1
		return
	}
	m.n = min(m.n+1, m.size)
	a := 1 / m.n
	sd := math.Sqrt(m.spread)
	k := max(1, math.Round(float64(x)/m.period))
	rest := float64(x) - k*m.period
	late := rest > lateFrom*sd
	if k > 1 && math.Abs(rest) > lateFrom*sd { // between the multiples
		late, k = true, 1
		rest = float64(x) - m.period
	}
	var lost, more, excess float64
	if k > 1 {
		lost, more = 1, min(k-2, maxLost)
	}
	if late {
		excess = rest - lateFrom*sd
	}
	m.lost += a * (lost - m.lost)
	m.more += a * (more - m.more)
	m.excess += a * (excess - m.excess)
	m.square += a * (excess*excess - m.square)
	// A late sample changes period and spread only as much as the latest possible timely
	// one. So they follow a lasting change, and hardly a single late sample.
	limit := (lateFrom + 1) * max(sd, m.period/1e4)
	rest = min(max(rest, -limit), limit)
	m.period += a * rest
	m.spread += a * (rest*rest - m.spread)
}

// A mixture is the distribution of a live peer's silences. The probability of a silence
// longer than t is
//
//	(1-tail) Σ P(k-1 lost) Q((t - k·period)/sd) + tail exp(-(t - from)/scale)
//
// The probability of a loss differs from that of a further loss, because losses come in
// bursts. The weight of the tail is at least 1/(n+1), since n samples cannot exclude an
// event that happens once in n+1. Without the tail, phi would be far too high just
// beyond the jitter.
type mixture struct {
	period, sd   float64
	first, again float64 // probability of a loss, and of another one after a loss
	tail, scale  float64

	// Computed from the fields above.
	step    float64 // between the terms of the sum: period, or more if sd is larger
	from    float64
	lnAgain float64
	lnTail  float64
}

// mixture returns the distribution that fits the samples.
func (m *memory) mixture(minSD float64) mixture {
	w := 1 / (m.n + 1)
	x := mixture{period: max(1, m.period), sd: max(math.Sqrt(m.spread), minSD, 1)}
	x.first = m.lost * m.n * w
	// The prior is one loss, followed by another with the probability of the first.
	x.again = min((m.more*m.n+x.first)/((m.more+m.lost)*m.n+1), 0.99)
	// The tail is the exponential distribution with the first two moments of the
	// lateness, including that of one prior sample. So it fits large lateness best; the
	// calibration corrects it for small lateness.
	prior := max(priorTail*x.period, minSD/2)
	first, second := m.excess*m.n+prior, m.square*m.n+2*prior*prior
	x.scale = second / (2 * first)
	x.tail = min(1, first/x.scale*w)
	x.prepare()
	return x
}

func (x *mixture) prepare() {
	x.step = max(x.period, x.sd/2)
	x.from = x.period + lateFrom*x.sd
	x.lnAgain = math.Log(max(x.again, 1e-300))
	x.lnTail = math.Log(x.tail)
}

// phi returns -log10 of the probability of a silence longer than t. Because of the tail
// it is finite even when the sum underflows.
func (x *mixture) phi(t float64) float64 {
	p := (1 - x.tail) * x.timely(t)
	ln := x.lnTail - max(0, t-x.from)/x.scale
	if ln > -600 {
		return max(0, -math.Log10(p+math.Exp(ln)))
	}
	a, b := math.Log(p), ln // log(exp(a) + exp(b)), without underflow
	if a < b {
		a, b = b, a
	}
	return -(a + math.Log1p(math.Exp(b-a))) / math.Ln10
}

// timely returns the sum in the mixture: the probability by losses and jitter only.
func (x *mixture) timely(t float64) float64 {
	const (
		zero = 38  // standard deviations from which on a term is 0
		one  = -9  // standard deviations up to which a term is 1, to the last digit
		most = 1e5 // losses in a row from which on the probability is 0
	)
	t -= x.period
	k := max(0, math.Ceil((t-zero*x.sd)/x.step))
	end := max(k, math.Ceil((t-one*x.sd)/x.step))
	if k > most {
		return 0
	}
	sum := 0.0
	for ; k < end; k++ {
		p := 1 - x.first
		if k > 0 {
			p = x.first * (1 - x.again) * math.Exp((k-1)*x.lnAgain)
		}
		sum += p * math.Erfc((t-k*x.step)/x.sd/math.Sqrt2) / 2
	}
	if end == 0 {
		return 1
	}
	return sum + x.first*math.Exp((end-1)*x.lnAgain)
}
