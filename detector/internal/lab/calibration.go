package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"resilientrpc/detector"
)

var epoch = time.Date(2004, time.April, 3, 0, 0, 0, 0, time.UTC)

// shares returns in what part of the gaps of a live peer phi was above 1, 2, 3
// and 4 when the next beat came. The first warm gaps do not count.
func shares(cfg detector.Config, beats []beat, warm int) [4]float64 {
	d, err := detector.New(cfg)
	if err != nil {
		panic(err)
	}
	var above [4]float64
	for i, b := range beats {
		now := epoch.Add(b.came)
		if i > warm {
			phi := d.Phi(now)
			for k := range above {
				if phi > float64(k+1) {
					above[k]++
				}
			}
		}
		d.Heartbeat(now)
	}
	for k := range above {
		above[k] /= float64(len(beats) - warm - 1)
	}
	return above
}

// kept reports whether every share is within a factor of two of the promised one.
func kept(s [4]float64) bool {
	for k, x := range s {
		want := math.Pow10(-k - 1)
		if x < want/2 || x > want*2 {
			return false
		}
	}
	return true
}

// bare returns a Config without a minimal deviation and an acceptable pause.
func bare(m detector.Model, eta time.Duration) detector.Config {
	c := detector.Config{Model: m, FirstInterval: eta, MinStdDev: -1, AcceptablePause: -1}
	if m == detector.Normal {
		c.MaxInterval = -1 // the paper records every interval
	}
	return c
}

// calibration prints the shares for every workload and returns on how many of
// them the loss-aware model and the normal one kept their promise.
func calibration(w io.Writer, seed uint64, n int) (lossAware, normal int) {
	const eta = 100 * ms
	fmt.Fprintf(w, "\nCalibration: share of the gaps of a live peer with phi above 1, 2, 3, 4; promised 1e-1 to 1e-4.\n")
	fmt.Fprintf(w, "%d beats, one in %v. + is within a factor of two at all four levels.\n\n", n, eta)
	fmt.Fprintf(w, "%-16s  %-41s %-41s\n", "workload", "loss-aware", "normal (the paper's)")
	for i, l := range workloads {
		beats := l.make(rand.New(rand.NewPCG(seed, uint64(i))), n, eta)
		fmt.Fprintf(w, "%-16s", l.name)
		for _, m := range []detector.Model{detector.LossAware, detector.Normal} {
			s := shares(bare(m, eta), beats, 1000)
			mark := "-"
			if kept(s) {
				mark = "+"
				if m == detector.LossAware {
					lossAware++
				} else {
					normal++
				}
			}
			fmt.Fprintf(w, "  %s %.2e %.2e %.2e %.2e", mark, s[0], s[1], s[2], s[3])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "kept on %d of %d workloads; the normal model on %d\n", lossAware, len(workloads), normal)
	return lossAware, normal
}
