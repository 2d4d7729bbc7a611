// Command mutants breaks, one at a time, the rules on which at most once, hedges and
// the gathering of writes rest, and shows that a test notices each: run it at the root
// of the module, as
//
//	go run ./rpcx/internal/mutants
//
// It leaves the source alone (go test -overlay). For each mutant it runs the test that the
// list names; if that passes, or none is named, it runs all tests and prints the first that
// fails, and fails again when it is run alone: a test that failed by chance kills nothing.
// Its status is 1 unless each mutant is killed, by the test that is named if one is. A mutant
// whose text is no longer in the source is an error: the list follows the code.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	only := flag.String("only", "", "run only mutants whose rule contains this")
	// Most tests wait for the clock rather than for a processor.
	workers := flag.Int("p", 2*runtime.GOMAXPROCS(0), "the number of mutants that are tested at the same time")
	flag.Parse()
	if err := runAll(*only, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func runAll(only string, workers int) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	var (
		group  errgroup.Group
		mu     sync.Mutex // guards the output and missed
		missed int
	)
	group.SetLimit(workers)
	for i, m := range mutants {
		if !strings.Contains(m.rule, only) {
			continue
		}
		group.Go(func() error {
			begin := time.Now()
			verdict, killed, err := m.verdict(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return fmt.Errorf("%s: %s: %w", m.file, m.rule, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !killed {
				missed++
			}
			fmt.Printf("%-14s %-70s %4.0f s  %s\n", filepath.Base(m.file), m.rule, time.Since(begin).Seconds(), verdict)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if missed > 0 {
		return fmt.Errorf("%d mutants were not killed, or not by the test that the list names", missed)
	}
	return nil
}

// verdict says which test kills the mutant, and whether that is the one that is named for it.
func (m mutant) verdict(dir string) (verdict string, killed bool, err error) {
	if pkg := m.home("."); pkg != "" {
		binary, err := m.build(dir, pkg)
		if err != nil {
			return "", false, err
		}
		if m.run(binary, pkg, time.Minute, "-test.run=^"+m.test+"$") != "" {
			return m.test, true, nil
		}
	}
	killer, err := m.search(dir)
	switch {
	case err != nil:
		return "", false, err
	case killer == "":
		return "SURVIVED", false, nil
	case m.test == "":
		return killer + ", which the list does not name", true, nil
	}
	return fmt.Sprintf("NOT KILLED by %s, but by %s", m.test, killer), false, nil
}

// packages are those whose tests may kill the mutant: its own, and rpcx for one below that.
func (m mutant) packages() []string {
	dir := filepath.Dir(m.file)
	top, _, _ := strings.Cut(dir, "/internal/")
	return slices.Compact([]string{dir, top})
}

// home returns the package, below the root of the module, that has the test that is named for
// the mutant; empty if there is none.
func (m mutant) home(root string) string {
	if m.test == "" {
		return ""
	}
	for _, pkg := range m.packages() {
		files, _ := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		for _, file := range files {
			if source, err := os.ReadFile(file); err == nil && bytes.Contains(source, []byte("\nfunc "+m.test+"(")) {
				return pkg
			}
		}
	}
	return ""
}

// search returns the first test that the mutant fails, alone too; empty if none does.
func (m mutant) search(dir string) (killer string, err error) {
	for _, pkg := range m.packages() {
		if killer, err = m.searchIn(dir, pkg); killer != "" || err != nil {
			return killer, err
		}
	}
	return "", nil
}

func (m mutant) searchIn(dir, pkg string) (killer string, err error) {
	binary, err := m.build(dir, pkg)
	if err != nil {
		return "", err
	}
	var chance []string // tests that failed, and did not when run alone
	for {
		killer := m.run(binary, pkg, wholeLimit, "-test.skip=^("+strings.Join(chance, "|")+")$")
		if killer == "" {
			return "", nil
		}
		top, _, _ := strings.Cut(strings.Fields(killer)[0], "/")
		if !strings.HasPrefix(top, "Test") || m.run(binary, pkg, wholeLimit, "-test.run=^"+top+"$") != "" {
			return killer, nil
		}
		if len(chance) == 3 {
			return "", fmt.Errorf("these tests fail by chance: %v", append(chance, top))
		}
		chance = append(chance, top)
	}
}

// build returns the path of the mutant's test binary for a package.
func (m mutant) build(dir, pkg string) (binary string, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("the text is %d times in the source: %s", n, m.old)
	}
	overlay, err := write(dir, m.file, bytes.Replace(source, []byte(m.old), []byte(m.new), 1))
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "./"+pkg)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the mutant does not compile: %s", out)
	}
	return binary, nil
}

// wholeLimit is the time after which all tests of a package, or one that failed, hang.
const wholeLimit = 6 * time.Minute

// run returns the first test that fails, or hangs.
func (m mutant) run(binary, pkg string, limit time.Duration, filter string) (killer string) {
	test := exec.Command(binary, "-test.failfast", "-test.timeout="+limit.String(), filter)
	test.Dir = pkg
	out, err := test.CombinedOutput()
	if err == nil {
		return ""
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	return firstFailure(out)
}

// write makes the file that says which source stands in for which.
func write(dir, file string, source []byte) (overlay string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	stand := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(stand, source, 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {path: stand}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

var (
	failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hanging = regexp.MustCompile(`panic: test timed out[^\n]*\n\s*running tests:\n\s*(\S+)`)
	running = regexp.MustCompile(`(?m)^resilientrpc/\S+\.(Test\w+)\(`)
)

func firstFailure(out []byte) string {
	all := failure.FindAllSubmatch(out, -1)
	switch {
	case len(all) > 0:
		return string(all[len(all)-1][1]) // a subtest comes after its test
	case hanging.Match(out):
		return string(hanging.FindSubmatch(out)[1]) + " hangs"
	case running.Match(out):
		return string(running.FindSubmatch(out)[1]) + " ends the process"
	}
	return "the process ends: " + strings.TrimSpace(string(out))
}
