package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// process is a server in a process of its own.
type process struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
}

// serverEnv makes this program a server.
const serverEnv = "SIM_SERVER"

func startProcess() (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), serverEnv+"=1"), os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server said no address: %w", err), p.end())
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// startProcesses starts all, and returns those that it has started if one fails.
func startProcesses() (servers []*process, err error) {
	for range loopServers {
		s, err := startProcess()
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func endProcesses(servers []*process) (err error) {
	for _, s := range servers {
		err = errors.Join(err, s.end())
	}
	return err
}

func addresses(servers []*process) (addrs []string) {
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

func (p *process) tell(what string) error {
	_, err := fmt.Fprintln(p.in, what)
	return err
}

func (p *process) end() error {
	err := p.cmd.Process.Kill()
	p.cmd.Wait() //nolint:errcheck // it was killed
	return err
}

// child serves if this process is a server, until its parent is gone, and reports
// whether it was one.
func child() bool {
	if os.Getenv(serverEnv) == "" {
		return false
	}
	if err := serveChild(); err != nil {
		fmt.Fprintln(os.Stderr, "sim: server:", err)
		os.Exit(1)
	}
	return true
}

func serveChild() error {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &Sleeper{addr: lis.Addr().String(), workers: make(chan struct{}, crowdedWorkers)}
	s.slow.Store(1)
	if err := rpc.Register(s); err != nil {
		return err
	}
	go s.accept(lis)
	fmt.Println(lis.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "slow":
			s.slow.Store(loopSlow)
		case "fail":
			s.fails.Store(true)
		}
	}
	return nil
}

// Sleeper is the service.
type Sleeper struct {
	addr  string
	slow  atomic.Int64
	fails atomic.Bool

	running atomic.Int64  // calls of Work
	workers chan struct{} // taken by those that do not wait
}

// Worked is the reply of Work: its argument, and the load that a server reports.
type Worked struct {
	ID      uint64
	Server  string
	Running int // calls that the server has, this one included
}

// Work is Sleep with few workers.
func (s *Sleeper) Work(id uint64, reply *Worked) error {
	s.running.Add(1)
	s.workers <- struct{}{}
	var slept uint64
	err := s.Sleep(id, &slept)
	<-s.workers
	*reply = Worked{slept, s.addr, int(s.running.Add(-1)) + 1}
	return err
}

// Sleep answers with its argument after a while.
func (s *Sleeper) Sleep(id uint64, reply *uint64) error {
	time.Sleep(time.Duration(rand.ExpFloat64()*float64(loopMean)) * time.Duration(s.slow.Load()))
	*reply = id
	return nil
}

func (s *Sleeper) accept(lis net.Listener) {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		go rpc.ServeConn(&breaking{conn, s})
	}
}

// breaking is a connection that ends with the next request once its server fails.
type breaking struct {
	net.Conn
	server *Sleeper
}

func (f *breaking) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if f.server.fails.Load() {
		return 0, io.EOF
	}
	return n, err
}
