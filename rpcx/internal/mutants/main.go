// Command mutants breaks, one at a time, the rules on which at most once, hedges and
// the gathering of writes rest, and shows that a test notices each: run it at the root
// of the module, as
//
//	go run ./rpcx/internal/mutants
//
// It leaves the source alone (go test -overlay) and prints for each mutant the first
// test that fails, and fails again when it is run alone: a test that failed by chance
// kills nothing. Its status is 1 if a mutant survives. A mutant whose text is no longer
// in the source is an error: the list follows the code.
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
		group    errgroup.Group
		mu       sync.Mutex // guards the output and survived
		survived int
	)
	group.SetLimit(workers)
	for i, m := range mutants {
		if !strings.Contains(m.rule, only) {
			continue
		}
		group.Go(func() error {
			begin := time.Now()
			killer, err := m.test(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return fmt.Errorf("%s: %s: %w", m.file, m.rule, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if killer == "" {
				killer = "SURVIVED"
				survived++
			}
			fmt.Printf("%-14s %-70s %4.0f s  %s\n", filepath.Base(m.file), m.rule, time.Since(begin).Seconds(), killer)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if survived > 0 {
		return fmt.Errorf("%d mutants survived", survived)
	}
	return nil
}

// test returns the first test that the mutant fails, alone too; empty if none does. The
// tests are those of its package, and of rpcx for a package below that.
func (m mutant) test(dir string) (killer string, err error) {
	for _, pkg := range slices.Compact([]string{filepath.Dir(m.file), above(m.file)}) {
		if killer, err = m.testIn(dir, pkg); killer != "" || err != nil {
			return killer, err
		}
	}
	return "", nil
}

func above(file string) string {
	top, _, _ := strings.Cut(filepath.Dir(file), "/internal/")
	return top
}

func (m mutant) testIn(dir, pkg string) (killer string, err error) {
	binary, err := m.build(dir, pkg)
	if err != nil {
		return "", err
	}
	var chance []string // tests that failed, and did not when run alone
	for {
		killer := m.run(binary, pkg, "-test.skip=^("+strings.Join(chance, "|")+")$")
		if killer == "" {
			return "", nil
		}
		top, _, _ := strings.Cut(strings.Fields(killer)[0], "/")
		if !strings.HasPrefix(top, "Test") || m.run(binary, pkg, "-test.run=^"+top+"$") != "" {
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

// run returns the first test that fails.
func (m mutant) run(binary, pkg, filter string) (killer string) {
	test := exec.Command(binary, "-test.failfast", "-test.timeout=6m", filter)
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
