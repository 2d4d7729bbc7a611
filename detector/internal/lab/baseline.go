package main

import (
	"math"
	"time"

	"resilientrpc/detector"
)

// A watcher is a failure detector as the laboratory sees it.
type watcher interface {
	// hear takes note of a beat.
	hear(b beat)
	// deadline is when the peer is suspected if nothing follows.
	deadline() time.Duration
}

// A family is a kind of watcher with the one knob it is tuned by.
type family struct {
	name  string
	knobs []float64
	make  func(eta time.Duration, knob float64) watcher
}

// families are swept for the curves. The first is ours.
func families() []family {
	phis := []float64{0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16}
	return []family{
		{"loss-aware", phis, func(eta time.Duration, phi float64) watcher {
			c := bare(detector.LossAware, eta)
			c.Threshold = phi
			return newAccrual(c)
		}},
		{"normal", phis, func(eta time.Duration, phi float64) watcher {
			c := bare(detector.Normal, eta)
			c.Threshold = phi
			return newAccrual(c)
		}},
		{"exponential", phis, func(eta time.Duration, phi float64) watcher {
			c := bare(detector.Exponential, eta)
			c.Threshold = phi
			return newAccrual(c)
		}},
		{"fixed", []float64{1.1, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20}, func(eta time.Duration, k float64) watcher {
			return &fixed{timeout: times(eta, k)}
		}},
		{"Chen", []float64{0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 12}, func(eta time.Duration, k float64) watcher {
			return &chen{eta: eta, alpha: times(eta, k), long: newMean(1000)}
		}},
		{"2W-FD", []float64{0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 12}, func(eta time.Duration, k float64) watcher {
			return &chen{eta: eta, alpha: times(eta, k), long: newMean(1000), short: newMean(1)}
		}},
		{"Bertier", []float64{1, 4, 16}, func(eta time.Duration, k float64) watcher {
			return &bertier{chen: chen{eta: eta, long: newMean(1000)}, phi: k}
		}},
		{"Akka scaled", []float64{1, 2, 4, 6, 8, 10, 12, 16}, func(eta time.Duration, phi float64) watcher {
			return newAkka(eta, eta/10, 3*eta, phi)
		}},
	}
}

// accrual is one of ours.
type accrual struct {
	*detector.Detector
	threshold float64
}

func newAccrual(c detector.Config) *accrual {
	d, err := detector.New(c)
	if err != nil {
		panic(err)
	}
	a := &accrual{d, c.Threshold}
	if a.threshold == 0 {
		a.threshold = 8
	}
	return a
}

func (a *accrual) hear(b beat) { a.Heartbeat(epoch.Add(b.came)) }

func (a *accrual) deadline() time.Duration {
	at := a.Deadline(a.threshold)
	if at.IsZero() {
		return math.MaxInt64
	}
	return at.Sub(epoch)
}

// fixed is a timeout.
type fixed struct{ timeout, last time.Duration }

func (f *fixed) hear(b beat)             { f.last = b.came }
func (f *fixed) deadline() time.Duration { return f.last + f.timeout }

// A mean is that of the last so many values.
type mean struct {
	ring []float64
	sum  float64
	n    int
}

func newMean(size int) *mean { return &mean{ring: make([]float64, size)} }

func (m *mean) add(x float64) {
	i := m.n % len(m.ring)
	m.sum += x - m.ring[i]
	m.ring[i] = x
	m.n++
}

func (m *mean) value() float64 { return m.sum / float64(min(m.n, len(m.ring))) }

// chen is NFD-E of Chen, Toueg and Aguilera with the true period, or, with a
// short mean, the two windows of Tomsic and others.
type chen struct {
	eta, alpha  time.Duration
	long, short *mean
	next        time.Duration // the expected arrival
}

func (c *chen) hear(b beat) {
	offset := float64(b.came) - float64(b.seq)*float64(c.eta)
	c.long.add(offset)
	ahead := c.long.value()
	if c.short != nil {
		c.short.add(offset)
		ahead = max(ahead, c.short.value())
	}
	c.next = time.Duration(ahead) + time.Duration(b.seq+1)*c.eta
}

func (c *chen) deadline() time.Duration { return c.next + c.alpha }

// bertier adapts Chen's margin as Jacobson adapts TCP's.
type bertier struct {
	chen
	phi             float64
	delay, variance float64
}

func (d *bertier) hear(b beat) {
	const gamma = 0.1
	if d.next > 0 {
		err := float64(b.came) - float64(d.next) - d.delay
		d.delay += gamma * err
		d.variance += gamma * (math.Abs(err) - d.variance)
	}
	d.chen.hear(b)
	d.alpha = time.Duration(max(0, d.delay+d.phi*d.variance))
}

// akka is the logistic approximation with a floor, a pause, two samples to
// begin with, and the rule that an interval that ends in suspicion is dropped.
type akka struct {
	floor, pause, z float64
	values, squares *mean
	last, until     time.Duration
	begun           bool
}

func newAkka(estimate, floor, pause time.Duration, phi float64) *akka {
	a := &akka{floor: float64(floor), pause: float64(pause), values: newMean(1000), squares: newMean(1000)}
	a.add(float64(estimate) * 3 / 4)
	a.add(float64(estimate) * 5 / 4)
	lo, hi := -20.0, 20.0
	for range 60 {
		z := (lo + hi) / 2
		if logistic(z) < phi {
			lo = z
		} else {
			hi = z
		}
	}
	a.z = hi
	return a
}

func logistic(y float64) float64 {
	e := math.Exp(-y * (1.5976 + 0.070566*y*y))
	return -math.Log10(e / (1 + e))
}

func (a *akka) add(x float64) {
	a.values.add(x)
	a.squares.add(x * x)
}

func (a *akka) hear(b beat) {
	if a.begun && b.came < a.until {
		a.add(float64(b.came - a.last))
	}
	a.begun, a.last = true, b.came
	m := a.values.value()
	sd := max(a.floor, math.Sqrt(max(0, a.squares.value()-m*m)))
	a.until = a.last + time.Duration(m+a.pause+a.z*sd)
}

func (a *akka) deadline() time.Duration { return a.until }

// cassandra is the exponential distribution, with the mean of the intervals up to a limit.
// It convicts at a phi of 8, after 18.4 times the mean.
type cassandra struct {
	limit time.Duration
	mean  *mean
	last  time.Duration
}

func newCassandra(eta time.Duration) *cassandra {
	c := &cassandra{limit: 2 * eta, mean: newMean(1000), last: -1}
	c.mean.add(float64(2 * eta))
	return c
}

func (c *cassandra) hear(b beat) {
	if x := b.came - c.last; c.last >= 0 && x <= c.limit {
		c.mean.add(float64(x))
	}
	c.last = b.came
}

func (c *cassandra) deadline() time.Duration {
	return c.last + time.Duration(8*math.Ln10*c.mean.value())
}
