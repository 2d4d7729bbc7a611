package detector

import "math"

// A memory is what LossAware knows of the past: a handful of running numbers in
// which old samples fade, in place of a window. Each new sample has the weight
// 1/n until n reaches size, and 1/size from then on.
//
// A sample is on time, or a whole number of heartbeats was lost before it, or
// it is late: beyond what the jitter of the timely ones explains.
type memory struct {
	size   float64 // heartbeats remembered
	n      float64 // samples, at most size
	period float64 // ns, mean interval of timely heartbeats
	spread float64 // ns², their variance about it
	lost   float64 // share of samples after at least one loss
	more   float64 // mean number of further losses in a sample
	excess float64 // ns, mean of the lateness that is beyond the jitter
	square float64 // ns², mean of its square
	outage int     // samples for which the last outage is remembered
}

const (
	lateFrom  = 3    // standard deviations at which lateness begins
	maxLost   = 16   // losses in a row that a sample may teach
	priorTail = 0.05 // periods: the scale of lateness before any was seen
)

// seed sets what is believed before the first sample: a period and an eighth
// of it as deviation, with the weight of Akka's two samples.
func (m *memory) seed(first int64) {
	m.n, m.period = 2, float64(first)
	m.spread = m.period * m.period / 64
}

// again reports an outage and whether there was one in the memory already: one
// is a fault, and would spoil the law; more of them are how this peer lives,
// and a detector that never learns from what it did not expect is wrong for
// ever about a peer that loses a heartbeat in ten.
func (m *memory) again() bool {
	again := m.outage > 0
	m.outage = int(m.size)
	return again
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
	// A late sample moves period and spread as far as the latest timely one
	// would, so that a lasting change is followed and a single one is not.
	limit := (lateFrom + 1) * max(sd, m.period/1e4)
	rest = min(max(rest, -limit), limit)
	m.period += a * rest
	m.spread += a * (rest*rest - m.spread)
}

// A mixture is the chance that a living peer is silent for longer than t:
//
//	(1-tail) Σ P(k-1 lost) Q((t - k·period)/sd) + tail exp(-(t - from)/scale)
//
// The first loss and each further one in a row have chances of their own,
// because losses come in bursts. The tail weighs at least 1/(n+1): n samples
// cannot rule out what happens once in n+1, and without it the law would be
// absurdly certain as soon as a sample left the jitter.
type mixture struct {
	period, sd   float64
	first, again float64 // chance of a loss, and of one after a loss
	tail, scale  float64

	// What follows from these.
	step    float64 // between multiples: period, or more where jitter hides it
	from    float64
	lnAgain float64
	lnTail  float64
}

// mixture returns the law of the samples so far.
func (m *memory) mixture(minSD float64) mixture {
	w := 1 / (m.n + 1)
	x := mixture{period: max(1, m.period), sd: max(math.Sqrt(m.spread), minSD, 1)}
	x.first = m.lost * m.n * w
	// One imagined loss that was followed by others as often as any heartbeat.
	x.again = min((m.more*m.n+x.first)/((m.more+m.lost)*m.n+1), 0.99)
	// The exponential with the first two moments of the lateness seen and of
	// one imagined sample. It leaves small lateness to the calibration and
	// keeps the scale of the large.
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

// phi returns -log10 of the chance of a silence longer than t. The tail keeps
// it finite when everything else has underflowed.
func (x *mixture) phi(t float64) float64 {
	p := (1 - x.tail) * x.timely(t)
	ln := x.lnTail - max(0, t-x.from)/x.scale
	if ln > -600 {
		return max(0, -math.Log10(p+math.Exp(ln)))
	}
	a, b := math.Log(p), ln // the logarithm of their sum, without taking it
	if a < b {
		a, b = b, a
	}
	return -(a + math.Log1p(math.Exp(b-a))) / math.Ln10
}

// timely is the part of the mixture that knows losses and jitter only.
func (x *mixture) timely(t float64) float64 {
	const (
		zero = 38  // deviations at which a term is 0
		one  = -9  // and at which it is 1, to the last digit
		most = 1e5 // losses in a row, of chance 0 whatever the chance of one
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
