package main

import (
	"fmt"
	"math"
)

// A sample is one figure of many runs.
type sample []float64

func (s *sample) add(x float64) { *s = append(*s, x) }

func (s sample) mean() float64 {
	sum := 0.0
	for _, x := range s {
		sum += x
	}
	return sum / float64(len(s))
}

// t95 is Student's t for a two-sided 95 % interval, by degrees of freedom.
var t95 = map[int]float64{1: 12.706, 4: 2.776, 9: 2.262, 19: 2.093, 39: 2.023, 99: 1.984}

// half returns half the width of the 95 % interval of the mean.
func (s sample) half() float64 {
	n, mean := float64(len(s)), s.mean()
	sum := 0.0
	for _, x := range s {
		sum += (x - mean) * (x - mean)
	}
	t, ok := t95[len(s)-1]
	if !ok {
		t = 1.96
	}
	return t * math.Sqrt(sum/(n-1)/n)
}

func (s sample) String() string { return fmt.Sprintf("%.1f ± %.1f", s.mean(), s.half()) }
