package leak

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeTB records what Check does to a test.
type fakeTB struct {
	testing.TB
	cleanup func()
	failed  bool
	log     string
}

func (f *fakeTB) Helper()                   {}
func (f *fakeTB) Failed() bool              { return f.failed }
func (f *fakeTB) Cleanup(c func())          { f.cleanup = c }
func (f *fakeTB) Errorf(s string, a ...any) { f.failed, f.log = true, f.log+fmt.Sprintf(s, a...) }

func shorten(t *testing.T, d time.Duration) {
	old := grace
	grace = d
	t.Cleanup(func() { grace = old })
}

func blockOn(release chan struct{}) { <-release }

func readFrom(c net.Conn, done chan<- error) {
	_, err := c.Read(make([]byte, 1))
	done <- err
}

func TestFindsALeak(t *testing.T) {
	shorten(t, 20*time.Millisecond)
	release := make(chan struct{})
	defer close(release)
	tb := new(fakeTB)
	Check(tb)
	go blockOn(release)
	tb.cleanup()
	require.True(t, tb.failed)
	require.Contains(t, tb.log, "leak.blockOn")
	require.Contains(t, tb.log, "after the test: 1\n")
}

// The function on top need not be the module's: a reader stuck in package net
// that we started is ours.
func TestFindsALeakBelowForeignFrames(t *testing.T) {
	shorten(t, 20*time.Millisecond)
	a, b := net.Pipe()
	defer b.Close()
	tb := new(fakeTB)
	Check(tb)
	done := make(chan error)
	go readFrom(a, done)
	tb.cleanup()
	require.Contains(t, tb.log, "net.(*pipe).Read")
	a.Close()
	<-done
}

func TestWaitsForTheEnd(t *testing.T) {
	release := make(chan struct{})
	tb := new(fakeTB)
	Check(tb)
	go blockOn(release)
	time.AfterFunc(30*time.Millisecond, func() { close(release) })
	tb.cleanup()
	require.False(t, tb.failed, tb.log)
}

func TestIgnoresWhatWasThere(t *testing.T) {
	shorten(t, 20*time.Millisecond)
	release := make(chan struct{})
	defer close(release)
	go blockOn(release)
	tb := new(fakeTB)
	Check(tb)
	tb.cleanup()
	require.False(t, tb.failed, tb.log)
}

func TestIgnoresOtherModules(t *testing.T) {
	require.False(t, goroutine{stack: "goroutine 7 [select]:\nnet/http.(*persistConn).readLoop(0x1)\n\t/go/transport.go:1\ncreated by net/http.(*Transport).dialConn in goroutine 6\n\t/go/transport.go:2"}.ours())
	require.True(t, goroutine{stack: "goroutine 7 [IO wait]:\nnet.(*conn).Read(0x1)\n\t/go/net.go:1\ncreated by resilientrpc/rpcx.dial in goroutine 6\n\t/x/dial.go:2"}.ours())
}

func TestSparesAFailedTest(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	tb := new(fakeTB)
	Check(tb)
	go blockOn(release)
	tb.failed = true
	start := time.Now()
	tb.cleanup()
	require.Empty(t, tb.log)
	require.Less(t, time.Since(start), time.Second)
}

func TestTheTestItselfIsNoLeak(t *testing.T) {
	found := make(chan []goroutine)
	look := func() []goroutine {
		go func() { found <- leaked(nil) }() // sees the test's own goroutine
		return <-found
	}
	left := look()
	for end := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(end); left = look() {
		time.Sleep(time.Millisecond) // those of the test before end
	}
	require.Empty(t, left)
}

type fakeMain func() int

func (f fakeMain) Run() int { return f() }

func TestMainVariant(t *testing.T) {
	shorten(t, 20*time.Millisecond)
	var stderr bytes.Buffer
	require.Equal(t, 0, run(fakeMain(func() int { return 0 }), &stderr))
	require.Empty(t, stderr.String())

	release := make(chan struct{})
	defer close(release)
	leak := fakeMain(func() int { go blockOn(release); return 0 })
	require.Equal(t, 1, run(leak, &stderr))
	require.Contains(t, stderr.String(), "leak.blockOn")

	// The tests' own failure comes first.
	require.Equal(t, 2, run(fakeMain(func() int { return 2 }), &stderr))
}

func TestCheckReal(t *testing.T) {
	Check(t)
	done := make(chan struct{})
	go func() { defer close(done) }()
	<-done
}

func TestPrepare(t *testing.T) {
	t.Setenv("GORACE", "halt_on_error=1")
	Prepare()
	require.Equal(t, "halt_on_error=1 atexit_sleep_ms=0", os.Getenv("GORACE"))
	n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String())
	require.NoError(t, err)
	require.Positive(t, n)
}
