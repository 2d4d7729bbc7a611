// Command peerbench puts rpcx beside what people would use in its place: net/rpc as
// it is and with hand-made resilience, sony/gobreaker, failsafe-go, grpc-go,
// connect-go and jrpc2. The same service runs behind all of them, in processes of its
// own on the loopback network, and every reply is checked.
//
//	go run .                          every table; 15 to 25 minutes on two cores
//	go run . -quick                   the same in less than a minute, and rougher
//	go run . -only speed,outage       some of speed, idle, resilience, outage, features
//	go run . -plots DIR               also draw the results as PNG files
//
// Let nothing else run on the machine meanwhile. Each contender is used as its
// documentation tells a careful user to; see contenders and the file of each.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A section makes one of the tables.
type section struct {
	name string
	run  func(context.Context, *output) error
}

var sections = []section{
	{"speed", runSpeed},
	{"idle", runIdle},
	{"resilience", runResilience},
	{"outage", runOutage},
	{"features", runFeatures},
}

// output is where a run's results go.
type output struct {
	io.Writer
	quick bool
	plots string // a directory, or "" for none
}

func main() {
	if child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's client logs what is done to it
	out := &output{Writer: os.Stdout}
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	only := flag.String("only", strings.Join(names, ","), "the `tables` to make, separated by commas")
	flag.BoolVar(&out.quick, "quick", false, "make rough tables in less than a minute")
	flag.StringVar(&out.plots, "plots", "", "the `directory` for PNG files; none are drawn without it")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "peerbench compares rpcx with what people use in its place, and prints tables.\n\nUsage: go run . [flags]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, out, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out *output, only []string) error {
	for _, name := range only {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return fmt.Errorf("there is no table %q; see -h", name)
		}
	}
	if out.plots != "" {
		if err := os.MkdirAll(out.plots, 0o755); err != nil {
			return err
		}
	}
	began := time.Now()
	printMachine(out)
	if out.quick {
		fmt.Fprintln(out, "A quick run: its figures are rough, and so are its verdicts.")
	}
	for _, s := range sections {
		if !slices.Contains(only, s.name) {
			continue
		}
		if err := s.run(ctx, out); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprintf(out, "\n%.0f s in all\n", time.Since(began).Seconds())
	return nil
}

// peers are the modules whose versions a reader wants to know.
var peers = []string{
	"connectrpc.com/connect", "github.com/cenkalti/backoff/v4", "github.com/creachadair/jrpc2",
	"github.com/failsafe-go/failsafe-go", "github.com/sony/gobreaker/v2", "google.golang.org/grpc", "google.golang.org/protobuf",
}

func printMachine(w io.Writer) {
	fmt.Fprintf(w, "%s %s/%s, %d CPUs%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor())
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	var versions []string
	for _, m := range info.Deps {
		if slices.Contains(peers, m.Path) {
			versions = append(versions, m.Path+" "+m.Version)
		}
	}
	fmt.Fprintln(w, strings.Join(versions, ", "))
}

// processor names the processor and the load of the machine, where Linux tells.
func processor() string {
	var out string
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpu)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			out = ", " + strings.TrimSpace(value)
			break
		}
	}
	if load, _, ok := strings.Cut(readAll("/proc/loadavg"), " "); ok {
		out += ", load " + load + " before the run"
	}
	return out
}

func readAll(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}
