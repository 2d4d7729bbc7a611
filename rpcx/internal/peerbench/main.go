// Command peerbench puts rpcx beside what people would use in its place: net/rpc as
// it is and with hand-made resilience, a pool of streams over yamux, sony/gobreaker,
// failsafe-go, grpc-go, connect-go and jrpc2. The same service runs behind all of them, in processes of its
// own on the loopback network, and every reply is checked.
//
//	go run .                          every table; a quarter of an hour on two cores
//	go run . -quick                   the same in a minute or so, and rougher
//	go run . -only speed,outage       some of speed, idle, resilience, outage, features
//	go run . -write                   also put the results into README.md and docs/comparison.md
//	go run . -plots DIR               also draw the results as PNG files
//
// Let nothing else run on the machine meanwhile. Each contender is used as its
// documentation tells a careful user to; see contenders and the file of each.
package main

import (
	"context"
	"errors"
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
	quick  bool
	write  bool   // put the report into the documents
	plots  string // a directory, or "" for none
	report report
	aims   []aim
}

func (o *output) aim(a ...aim) { o.aims = append(o.aims, a...) }

func main() {
	if child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's client logs what is done to it
	out := &output{Writer: os.Stdout, report: make(report)}
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	only := flag.String("only", strings.Join(names, ","), "the `tables` to make, separated by commas")
	flag.BoolVar(&out.quick, "quick", false, "make rough tables in a minute or so")
	flag.BoolVar(&out.write, "write", false, "put the results into the blocks of README.md and docs/comparison.md, after each table")
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
	if out.write {
		if out.quick {
			return errors.New("a quick run's figures are too rough for the documents")
		}
		if err := out.report.write(root); err != nil { // to learn now what would fail later
			return err
		}
	}
	began := time.Now()
	out.report["machine"] = printMachine(out)
	if out.quick {
		fmt.Fprintln(out, "A quick run: its figures are rough, and so are its verdicts.")
	}
	for _, s := range sections {
		if !slices.Contains(only, s.name) {
			continue
		}
		if err := out.make(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	aims := aimTable(out.aims)
	if len(out.aims) > 0 {
		aims.print(out)
	}
	fmt.Fprintf(out, "\n%.0f s in all\n", time.Since(began).Seconds())
	if !out.write || len(only) < len(sections) {
		return nil
	}
	out.report["aims"] = aims.markdown()
	return out.report.write(root)
}

// make makes one of the tables.
func (o *output) make(ctx context.Context, s section) error {
	began := time.Now()
	if err := s.run(ctx, o); err != nil {
		return err
	}
	fmt.Fprintf(o, "\n%s: %.0f s\n", s.name, time.Since(began).Seconds())
	if !o.write {
		return nil
	}
	return o.report.write(root)
}

// peers are the modules whose versions a reader wants to know.
var peers = []string{
	"connectrpc.com/connect", "github.com/cenkalti/backoff/v4", "github.com/creachadair/jrpc2",
	"github.com/failsafe-go/failsafe-go", "github.com/hashicorp/yamux", "github.com/sony/gobreaker/v2", "google.golang.org/grpc", "google.golang.org/protobuf",
}

// printMachine says on what the figures are made, and returns that for the documents.
func printMachine(w io.Writer) string {
	machine := fmt.Sprintf("%s %s/%s, %d CPUs%s", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor())
	fmt.Fprintln(w, machine)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return machine
	}
	var versions []string
	for _, m := range info.Deps {
		if slices.Contains(peers, m.Path) {
			versions = append(versions, m.Path+" "+m.Version)
		}
	}
	fmt.Fprintln(w, strings.Join(versions, ", "))
	return machine + ".\n" + strings.Join(versions, ",\n") + "."
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
