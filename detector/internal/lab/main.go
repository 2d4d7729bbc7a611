// Command lab is a laboratory for failure detectors in virtual time: it plays
// seeded networks and peers to this module's detectors and to others, prints
// how they fare, and draws the time of detection against the rate of mistakes.
//
//	cd detector/internal/lab && go run . -out /tmp/curves
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of every workload")
	n := flag.Int("n", 200_000, "beats of a workload")
	hours := flag.Int("hours", 100, "hours of pings on a path")
	out := flag.String("out", "", "directory to draw the curves into; none if empty")
	flag.Parse()

	w := os.Stdout
	oneSetting(w, *seed, *hours)
	calibration(w, *seed, *n)
	scenarios(w, *seed)
	beatTable(w, *seed, *n)
	if *out == "" {
		return
	}
	if err := curves(w, *out, *seed, min(*n, 40_000)); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}
