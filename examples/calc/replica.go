package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startTimeout bounds how long a replica may take to say where it listens.
const startTimeout = 10 * time.Second

// A replica is a server in a process of its own, at one address for life.
// Its methods belong to one goroutine.
type replica struct {
	name    string
	addr    string // "127.0.0.1:0" until the first start
	journal string
	wire    wire
	work    time.Duration
	stderr  io.Writer

	cmd   *exec.Cmd
	stdin io.Closer     // closing it asks the process to end
	done  chan struct{} // closed once the process has been reaped
}

// start runs this program's serve subcommand and returns when it listens. A
// replica that ran before comes back on its old port.
func (r *replica) start(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{
		"serve", "-until-eof", "-addr", r.addr, "-name", r.name,
		"-journal", r.journal, "-work", r.work.String(),
	}, r.wire.serverArgs()...)
	cmd := exec.Command(exe, args...)
	cmd.Stderr = r.stderr
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd, r.stdin, r.done = cmd, stdin, make(chan struct{})

	said := make(chan string, 1)
	go reap(cmd, stdout, said, r.done)
	select {
	case addr := <-said:
		if addr != "" {
			if addr != r.addr { // on its old port, other goroutines may look at it
				r.addr = addr
			}
			return nil
		}
		err = fmt.Errorf("replica %s ended before it listened on %s", r.name, r.addr)
	case <-time.After(startTimeout):
		err = fmt.Errorf("replica %s did not listen on %s within %v", r.name, r.addr, startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.kill()
	return err
}

// reap reads a child's output to its end, which is the child's, and only then
// waits for it, as StdoutPipe demands. It says the address, "" if there is none.
func reap(cmd *exec.Cmd, stdout io.Reader, said chan<- string, done chan<- struct{}) {
	defer close(done)
	out := bufio.NewReader(stdout)
	line, _ := out.ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), listening)
	if !ok {
		addr = ""
	}
	said <- addr
	io.Copy(io.Discard, out) //nolint:errcheck // its end is all that counts
	cmd.Wait()               //nolint:errcheck // a killed child's status is no news
}

// kill ends the process at once, frozen or not, and reaps it. It is harmless
// for one that never started or has ended.
func (r *replica) kill() {
	if r.cmd == nil {
		return
	}
	r.cmd.Process.Kill() //nolint:errcheck // fails only if it has ended
	r.stdin.Close()
	<-r.done
	r.cmd = nil
}

func (r *replica) freeze() error { return freeze(r.cmd.Process) }

func (r *replica) thaw() error { return thaw(r.cmd.Process) }

// A fleet is the demo's replicas.
type fleet []*replica

// startFleet starts one replica for each name, its journal in dir. On error
// none is left running.
func startFleet(ctx context.Context, w wire, work time.Duration, dir string, stderr io.Writer, names ...string) (fleet, error) {
	var f fleet
	for _, name := range names {
		r := &replica{
			name: name, addr: "127.0.0.1:0", wire: w, work: work, stderr: stderr,
			journal: filepath.Join(dir, name+".journal"),
		}
		if err := r.start(ctx); err != nil {
			f.kill()
			return nil, err
		}
		f = append(f, r)
	}
	return f, nil
}

func (f fleet) kill() {
	for _, r := range f {
		r.kill()
	}
}

func (f fleet) addrs() []string {
	var addrs []string
	for _, r := range f {
		addrs = append(addrs, r.addr)
	}
	return addrs
}

// nameOf is the name of the replica at addr.
func (f fleet) nameOf(addr string) string {
	for _, r := range f {
		if r.addr == addr {
			return r.name
		}
	}
	return addr
}

func (f fleet) journals() []string {
	var paths []string
	for _, r := range f {
		paths = append(paths, r.journal)
	}
	return paths
}
