package main

import (
	"math"
	"slices"
	"time"
)

// A result is what was seen in one run.
type result struct {
	took  []time.Duration // of all calls that have ended, sorted by quantile
	good  int             // calls that succeeded
	picks []int           // calls started, by server

	// from and until are when the calls start that are counted; an until of 0 is
	// no end. Counted by when they end, those that wait in the servers when the
	// last call comes would make the longest queues look like the best work.
	from, until time.Duration
	// watch says which servers' share of the calls is to be followed.
	watch  func(server int) bool
	shares []share // in steps of binSize
}

// A share is how many calls of one step went to the servers that are watched.
type share struct{ watched, all int }

const binSize = 50 * time.Millisecond

func (r *result) started(c *call) {
	r.picks[c.server]++
	if r.watch == nil {
		return
	}
	bin := int(c.start / binSize)
	for len(r.shares) <= bin {
		r.shares = append(r.shares, share{})
	}
	r.shares[bin].all++
	if r.watch(c.server) {
		r.shares[bin].watched++
	}
}

func (r *result) ended(c *call, now time.Duration) {
	if c.start < r.from || r.until > 0 && c.start >= r.until {
		return
	}
	r.took = append(r.took, now-c.start)
	if c.outcome == succeeded {
		r.good++
	}
}

// success returns the percentage of calls that succeeded.
func (r *result) success() float64 {
	return 100 * float64(r.good) / float64(max(len(r.took), 1))
}

// quantile returns the time that a share of the calls did not exceed, in
// milliseconds. A call that timed out took as long as its timeout.
func (r *result) quantile(q float64) float64 {
	if len(r.took) == 0 {
		return 0
	}
	if !slices.IsSorted(r.took) {
		slices.Sort(r.took)
	}
	return ms(r.took[min(int(q*float64(len(r.took))), len(r.took)-1)])
}

// above returns the share of calls that took longer.
func (r *result) above(limit time.Duration) float64 {
	n := 0
	for _, took := range r.took {
		if took > limit {
			n++
		}
	}
	return float64(n) / float64(max(len(r.took), 1))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// maxLoad returns the most calls of any server in relation to the mean.
func (r *result) maxLoad() float64 {
	sum := 0
	for _, n := range r.picks {
		sum += n
	}
	return float64(slices.Max(r.picks)) * float64(len(r.picks)) / float64(max(sum, 1))
}

// sumShares adds up the steps in [from, to).
func (r *result) sumShares(from, to time.Duration) share {
	var s share
	for i := int(from / binSize); i < int(to/binSize) && i < len(r.shares); i++ {
		s.watched += r.shares[i].watched
		s.all += r.shares[i].all
	}
	return s
}

func (s share) of() float64 {
	if s.all == 0 {
		return 0
	}
	return float64(s.watched) / float64(s.all)
}

// An estimate is the mean of several runs and half of its 95 % interval.
type estimate struct{ mean, half float64 }

// estimateOf uses Student's distribution.
func estimateOf(xs []float64) estimate {
	n := float64(len(xs))
	sum, squares := 0.0, 0.0
	for _, x := range xs {
		sum += x
	}
	mean := sum / n
	for _, x := range xs {
		squares += (x - mean) * (x - mean)
	}
	if len(xs) < 2 {
		return estimate{mean: mean}
	}
	return estimate{mean, student(len(xs)-1) * math.Sqrt(squares/(n-1)/n)}
}

// student returns the 97.5 % quantile of Student's distribution, by the
// expansion of Cornish and Fisher; it is exact to 1 % from 4 degrees of freedom.
func student(degrees int) float64 {
	const z = 1.959964
	v := float64(degrees)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) +
		(3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}
