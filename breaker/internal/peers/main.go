package main

import (
	"flag"
	"os"
	"testing"
)

func main() {
	alone()
	testing.Main(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "peers", F: program}}, nil, nil)
}

var metastability = flag.Bool("metastability", false, "x")

// program is a test because virtual time is for tests only.
func program(t *testing.T) {
	if *metastability {
		printMetastability(t, os.Stdout, 20)
		return
	}
	judge(t).print(os.Stdout)
}
