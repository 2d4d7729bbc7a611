package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is a server in a process of its own, with the same addresses for life.
type process struct {
	replica int // from 1
	addrs   [wires]string
	journal string
	cmd     *exec.Cmd
	in      io.WriteCloser // its end, when this process ends, ends the child
	out     *bufio.Reader
}

// A fleet is some servers and the directory of their journals.
type fleet struct {
	dir   string
	procs []*process
}

func startFleet(n int) (_ *fleet, err error) {
	dir, err := os.MkdirTemp("", "peerbench")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	for i := range n {
		p := &process{replica: i + 1, journal: filepath.Join(dir, fmt.Sprint("journal", i+1))}
		for w := range p.addrs {
			p.addrs[w] = "127.0.0.1:0"
		}
		f.procs = append(f.procs, p)
	}
	if err := f.each((*process).start); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// each does something with every server at the same time.
func (f *fleet) each(do func(*process) error) error {
	errs := make([]error, len(f.procs))
	var wg sync.WaitGroup
	for i, p := range f.procs {
		wg.Go(func() { errs[i] = do(p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// addrs are the servers' addresses for one wire.
func (f *fleet) addrs(w wire) []string {
	var out []string
	for _, p := range f.procs {
		out = append(out, p.addrs[w])
	}
	return out
}

// Close ends the servers.
func (f *fleet) Close() error {
	for _, p := range f.procs {
		p.kill()
	}
	return os.RemoveAll(f.dir)
}

// executions counts the executions of each call by its number.
func (f *fleet) executions() (map[uint64]int, error) {
	ran := make(map[uint64]int)
	for _, p := range f.procs {
		b, err := os.ReadFile(p.journal)
		if err != nil {
			return nil, err
		}
		for ; len(b) >= 8; b = b[8:] {
			ran[binary.LittleEndian.Uint64(b)]++
		}
	}
	return ran, nil
}

// start starts a new process at the addresses of the last one.
func (p *process) start() error {
	var err error
	for range 50 { // for a port may be somebody's own end of a connection
		if err = p.tryStart(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // until that is gone
	}
	return fmt.Errorf("server %d does not start: %w", p.replica, err)
}

func (p *process) tryStart() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), addrsEnv+"="+strings.Join(p.addrs[:], ","), journalEnv+"="+p.journal, replicaEnv+"="+strconv.Itoa(p.replica))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if p.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.out = cmd, bufio.NewReader(out)
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.kill()
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	copy(p.addrs[:], strings.Split(strings.TrimSpace(line), ","))
	return nil
}

// tell gives an order, and returns the CPU time that the server has used so far.
func (p *process) tell(order string) (time.Duration, error) {
	if _, err := fmt.Fprintln(p.in, order); err != nil {
		return 0, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return time.Duration(ns), err
}

// kill is SIGKILL.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill() //nolint:errcheck // it may be gone
	p.cmd.Wait()         //nolint:errcheck // its status is ours
}

// stop asks the server to stop in order, and waits until it has.
func (p *process) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }
