package detector

import "time"

// Stats is a detector's view at one moment, for logs and dashboards.
type Stats struct {
	Mean      time.Duration // of the intervals remembered
	StdDev    time.Duration // of the same, not below Config.MinStdDev
	Samples   int           // intervals remembered, the two of the start among them
	LastProof time.Time     // the last proof of life; zero before the first
	OwedSince time.Time     // when the silence began; zero if nothing is owed
	Phi       float64       // now
	Threshold float64       // the phi that convicts
	Timeout   time.Duration // the silence that reaches it; math.MaxInt64 if none does
}

// Stats returns the detector's view of the peer at now.
func (d *Detector) Stats(now time.Time) Stats {
	at, l := d.at(now), d.law()
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
