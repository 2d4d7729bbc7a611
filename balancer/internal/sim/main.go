// Command sim runs the balancer of this repository and those of other projects
// in virtual time, against servers that are slow, hung, failing or dead.
//
//	go run .                 the published measurements, ours and theirs
//	go run . -only A,B       some of them
//	go run . -grid           every fleet, fault and load; -sizes, -loads, -only and -seeds take a part
//	go run . -loopback       the simulation beside real server processes: faults, and one busy with others
//	go run . -out DIR        also draw the results as PNG files
//
// A name that ends in * is a port: the other project's rules, written anew for
// the simulation (see ports.go, probed.go). The balancers of grpc-go are the real ones.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	grid    bool
	loop    bool
	only    string
	seeds   int
	out     string
	sizes   string
	loads   string
	workers int
}

func main() {
	if child() {
		return
	}
	var o options
	flag.BoolVar(&o.grid, "grid", false, "run the grid of fleets, faults and loads instead")
	flag.BoolVar(&o.loop, "loopback", false, "run 11 real server processes and their simulation instead")
	flag.StringVar(&o.only, "only", "", "comma-separated names of the experiments or faults to run; empty means all")
	flag.IntVar(&o.seeds, "seeds", 20, "how often each experiment is run; cells of the grid at most so often")
	flag.StringVar(&o.out, "out", "", "directory for PNG files; empty means none")
	flag.StringVar(&o.sizes, "sizes", "3,11,100,1000,10000", "fleet sizes of the grid")
	flag.StringVar(&o.loads, "loads", "0.5,0.7,0.9,1.1", "loads of the grid")
	flag.IntVar(&o.workers, "j", runtime.GOMAXPROCS(0), "runs at once")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	start := time.Now()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
	fmt.Printf("\n%.0f s\n", time.Since(start).Seconds())
}

func run(o options) error {
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
	}
	if o.loop {
		return errors.Join(
			runLoopback(os.Stdout, loopback{perSecond: 1000, faulty: 10 * time.Second, end: 40 * time.Second}, o.seeds),
			runCrowded(os.Stdout, crowded{perSecond: 300, end: 40 * time.Second}, o.seeds),
		)
	}
	if o.grid {
		return runGrid(o)
	}
	for _, e := range experiments {
		if !o.wants(e.name) {
			continue
		}
		who := e.contenders
		if who == nil {
			who = contenders
		}
		rows := measure(e, who, o)
		printTable(os.Stdout, e, rows)
		if o.out != "" {
			if err := plotExperiment(o.out, e, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

func (o options) wantsLoad(load float64) bool {
	return slices.Contains(strings.Split(o.loads, ","), strconv.FormatFloat(load, 'f', 1, 64))
}

func (o options) wantsSize(servers int) bool {
	return slices.Contains(strings.Split(o.sizes, ","), strconv.Itoa(servers))
}
