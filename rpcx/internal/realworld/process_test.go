//go:build unix

package realworld

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aWhile is how long a test waits for what should happen soon. It is longer than the 30 s after
// which a client gives up a silent peer of which it knows too little.
const aWhile = time.Minute

// A process is a program that a test runs and talks to line by line.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string   // of its standard output; closed at its end
	ended  chan struct{} // closed when it has been waited for
	status int           // then, that of its exit; -1 if a signal ended it
	stderr stderr
}

// stderr is the standard error of a process.
type stderr struct {
	mu   sync.Mutex // protects following
	text bytes.Buffer
}

func (s *stderr) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stderr) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start runs a program, and kills it at the end of the test if it is there still.
func start(t *testing.T, variant, name string, args ...string) *process {
	t.Helper()
	require.NoError(t, built())
	p := &process{t: t, cmd: exec.Command(program(variant, name), args...), lines: make(chan string, 1<<16), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second // a child of it may hold its standard error
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.follow(out)
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		text := p.stderr.String()
		if strings.Contains(text, "DATA RACE") {
			t.Errorf("%s %s: %s", variant, name, text)
		}
		if t.Failed() {
			t.Logf("%s %s %v, status %d: %s", variant, name, args, p.status, text)
		}
	})
	return p
}

// follow reads the output of a process until it ends.
func (p *process) follow(out io.Reader) {
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.lines <- scanner.Text()
	}
	p.cmd.Wait() //nolint:errcheck // its status says it
	p.status = p.cmd.ProcessState.ExitCode()
	close(p.ended)
	close(p.lines)
}

func (p *process) signal(s syscall.Signal) {
	p.cmd.Process.Signal(s) //nolint:errcheck // it may have ended
}

// freeze stops the process, and returns once all its threads have stopped.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(p.t, err)
	require.True(p.t, status.Stopped(), "%v", status)
}

// say writes lines to the process.
func (p *process) say(lines ...string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, strings.Join(lines, "\n")+"\n")
	require.NoError(p.t, err)
}

// line returns the next line that the process prints.
func (p *process) line() string {
	p.t.Helper()
	line, ok := p.lineWithin(aWhile)
	require.True(p.t, ok, "no line within %v; standard error: %s", aWhile, &p.stderr)
	return line
}

// lineWithin returns the next line, or false if there is none for so long.
func (p *process) lineWithin(d time.Duration) (string, bool) {
	select { // first, for a timer that has ended may be chosen before a line that is there
	case line, ok := <-p.lines:
		return line, ok
	default:
	}
	select {
	case line, ok := <-p.lines:
		return line, ok
	case <-time.After(d):
		return "", false
	}
}

// ask writes a line and returns the one that answers it.
func (p *process) ask(line string) string {
	p.t.Helper()
	p.say(line)
	return p.line()
}

// rest closes the standard input of the process, waits for its end, and returns the lines that
// it has printed.
func (p *process) rest() []string {
	p.t.Helper()
	p.in.Close()
	var lines []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return lines
			}
			lines = append(lines, line)
		case <-time.After(aWhile):
			require.Fail(p.t, "the process does not end", "output: %q, standard error: %s", lines, &p.stderr)
		}
	}
}

// output runs a program to its end and returns what it prints.
func output(t *testing.T, variant, name string, args ...string) []string {
	t.Helper()
	return start(t, variant, name, args...).rest()
}

// same runs a test with each variant, and compares what it returns with what is wanted.
func same(t *testing.T, want []string, run func(t *testing.T, variant string) []string) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			require.Equal(t, strings.Join(want, "\n"), strings.Join(run(t, variant), "\n"))
		})
	}
}

// both runs a test with the two variants at the same time.
func both(t *testing.T, run func(t *testing.T, variant string)) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			run(t, variant)
		})
	}
}
