package detector

import "time"

// Stats describes a detector at one moment.
type Stats struct {
	Mean      time.Duration // mean of the intervals; with LossAware, without losses and pauses
	StdDev    time.Duration // standard deviation, likewise; Config.MinStdDev at least
	Samples   int           // number of intervals, including the two of Config.FirstInterval
	LastProof time.Time     // the last proof of life; zero before the first
	OwedSince time.Time     // when the silence began; zero if no answer is owed
	Phi       float64       // the suspicion
	Threshold float64       // Config.Threshold with its default
	Timeout   time.Duration // the silence at which phi reaches Threshold; math.MaxInt64 if none does
}

// Stats returns the detector's view of the peer at now.
func (d *Detector) Stats(now time.Time) Stats {
	at, l := d.at(now), d.distribution()
	mean, sd := l.middle()
	s := Stats{
		Mean:      time.Duration(mean),
		StdDev:    time.Duration(sd),
		Samples:   l.n,
		Threshold: d.cfg.Threshold,
		Timeout:   time.Duration(d.timeout.Load()),
	}
	if p := d.proof.Load(); p > 0 {
		s.LastProof = d.time(p)
	}
	if start := d.start(); start != never {
		s.OwedSince = d.time(start)
		s.Phi = l.phi(max(0, at-start))
	}
	return s
}
