package main

import (
	"flag"
	"os"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of every workload")
	n := flag.Int("n", 300_000, "beats of a workload")
	flag.Parse()
	calibration(os.Stdout, *seed, *n)
}
