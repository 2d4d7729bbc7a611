// Peers puts resilientrpc/breaker beside sony/gobreaker and failsafe-go. Every
// figure comes from running the real libraries, in virtual time.
//
//	go run .                 the 25 hard cases, with the reason for each failure
//	go run . -metastability  an outage and what its retries leave behind
//	go run . -partial        calls that fail at random
//	go run . -granularity    a breaker for an endpoint or for each method (ours)
//	go test -bench .         what a call costs
package main

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	metastability = flag.Bool("metastability", false, "play an outage instead of the hard cases")
	partial       = flag.Bool("partial", false, "play partial failure instead")
	granularity   = flag.Bool("granularity", false, "compare one breaker an endpoint with one a method instead")
	seeds         = flag.Int("seeds", 20, "runs of each story, at least 2")
)

func main() {
	alone()
	// Virtual time is for tests only, so the program is one.
	testing.Main(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "peers", F: program}}, nil, nil)
}

func program(t *testing.T) {
	n := max(2, *seeds)
	switch {
	case *metastability:
		printMetastability(t, os.Stdout, n)
	case *partial:
		printPartial(t, os.Stdout, 10*time.Minute, n)
	case *granularity:
		printGranularity(t, os.Stdout, n)
	default:
		judge(t).print(os.Stdout)
	}
}
