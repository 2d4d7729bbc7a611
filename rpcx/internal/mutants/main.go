// Command mutants breaks, one at a time, the rules on which at most once, hedges and
// the gathering of writes rest, and shows that a test notices each: run it at the root
// of the module, as
//
//	go run ./rpcx/internal/mutants
//
// It leaves the source alone (go test -overlay) and prints for each mutant the first
// test that fails. Its status is 1 if a mutant survives. A mutant whose text is no
// longer in the source is an error: the list follows the code.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "run only mutants whose rule contains this")
	flag.Parse()
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	survived := 0
	for _, m := range mutants {
		if !strings.Contains(m.rule, *only) {
			continue
		}
		begin := time.Now()
		killer, err := m.run(dir)
		if err != nil {
			fatal(fmt.Errorf("%s: %s: %w", m.file, m.rule, err))
		}
		if killer == "" {
			killer = "SURVIVED"
			survived++
		}
		fmt.Printf("%-14s %-70s %4.0f s  %s\n", filepath.Base(m.file), m.rule, time.Since(begin).Seconds(), killer)
	}
	if survived > 0 {
		fatal(fmt.Errorf("%d mutants survived", survived))
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "mutants:", err)
	os.Exit(1)
}

// run tests one mutant and returns the first test that fails, empty if none does.
func (m mutant) run(dir string) (killer string, err error) {
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
	build := exec.Command("go", "build", "-overlay", overlay, "./"+filepath.Dir(m.file))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the mutant does not compile: %s", out)
	}
	test := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-failfast", "-timeout=120s", "./"+filepath.Dir(m.file))
	out, err := test.CombinedOutput()
	if err == nil {
		return "", nil
	}
	return firstFailure(out), nil
}

// write makes the file that says which source stands in for which.
func write(dir, file string, source []byte) (overlay string, err error) {
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
)

func firstFailure(out []byte) string {
	all := failure.FindAllSubmatch(out, -1)
	switch {
	case len(all) > 0:
		return string(all[len(all)-1][1]) // a subtest comes after its test
	case hanging.Match(out):
		return string(hanging.FindSubmatch(out)[1]) + " hangs"
	case bytes.Contains(out, []byte("panic:")):
		return "a panic"
	}
	return strings.TrimSpace(string(out))
}
