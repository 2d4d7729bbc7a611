// Package leak finds goroutines of this module that outlive a test.
//
// A goroutine counts as the module's if a function of the module is on its
// stack or has started it. The check runs in real time, for tests with real
// sockets and processes; in a testing/synctest bubble it is not needed, for a
// bubble does not end while a goroutine of it lives.
package leak

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ours begins the name of every function of the module.
const ours = "resilientrpc/"

// grace is how long goroutines have to end after the test: on a busy machine, some
// need seconds. A variable so that the tests of this package need not wait.
var grace = 15 * time.Second

// Check fails t if goroutines of the module that are not there now are left
// when t and the cleanups registered after Check are done. They have 15
// seconds to end by themselves. Call it first in the test, and not in one that
// runs in parallel with others, whose goroutines look the same: those are left
// to [Main]. A test that has failed already is not checked: what it leaks is a
// consequence.
func Check(t testing.TB) {
	t.Helper()
	before := make(map[string]bool)
	for _, g := range stacks() {
		before[g.id] = true
	}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			return
		}
		if left := wait(before); len(left) > 0 {
			t.Errorf("%s", report(left))
		}
	})
}

// waiting is how many of a package's parallel tests run at the same time, unless
// the flag -parallel says otherwise: they wait for the clock or for processes,
// so there may be more of them than processors.
const waiting = 8

// Main is for TestMain: it runs the tests of a package and exits, with a
// failure if they passed but left goroutines of the module behind.
//
// It exits without the second that [os.Exit] waits in a binary with the race
// detector, in which goroutines can still show a race: none is left.
func Main(m *testing.M) { syscall.Exit(Run(m)) }

// Run is Main for a TestMain that has something to do afterwards: it returns the
// status with which to exit.
func Run(m *testing.M) int {
	Prepare()
	return run(m, os.Stderr)
}

// Prepare lets tests wait less. It raises the number of parallel tests that run
// at the same time, and processes that they start and that have the race detector
// exit at once rather than after a second. Main calls it; a TestMain without Main
// can.
func Prepare() {
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")); err != nil {
		panic(err)
	}
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(max(waiting, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
}

func run(m interface{ Run() int }, stderr io.Writer) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if left := wait(nil); len(left) > 0 {
		fmt.Fprintln(stderr, report(left))
		return 1
	}
	if races() > 0 { // one that the tests had would have failed them
		fmt.Fprintln(stderr, "leak: goroutines that outlived the tests had a data race")
		return 1
	}
	return 0
}

// A goroutine is one entry of a stack dump.
type goroutine struct {
	id    string // "goroutine 7"
	stack string
}

// wait polls until no goroutine of the module but those in before is there,
// or grace is over, and returns the rest.
func wait(before map[string]bool) []goroutine {
	deadline := time.Now().Add(grace)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left := leaked(before)
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pause)
	}
}

func leaked(before map[string]bool) []goroutine {
	var left []goroutine
	for _, g := range stacks() {
		if !before[g.id] && g.ours() {
			left = append(left, g)
		}
	}
	return left
}

// ours reports whether the module answers for g. Tests themselves, which
// package testing has started, end without our doing.
func (g goroutine) ours() bool {
	var found bool
	for line := range strings.Lines(g.stack) {
		name, isCreator := strings.CutPrefix(line, "created by ")
		if isCreator && strings.HasPrefix(name, "testing.") {
			return false
		}
		found = found || strings.HasPrefix(name, ours)
	}
	return found
}

// stacks returns every goroutine but the calling one.
func stacks() []goroutine {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	dump := strings.Split(string(buf[:n]), "\n\n")
	all := make([]goroutine, 0, len(dump))
	for _, stack := range dump[1:] { // the first is the caller
		id, _, _ := strings.Cut(stack, " [")
		all = append(all, goroutine{id, stack})
	}
	return all
}

func report(left []goroutine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "leak: goroutines left %v after the test: %d\n", grace, len(left))
	for _, g := range left {
		fmt.Fprintf(&b, "\n%s\n", g.stack)
	}
	return b.String()
}
