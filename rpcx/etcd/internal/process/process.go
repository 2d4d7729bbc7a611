// Package process runs a real etcd as a process of its own, which can be killed.
package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles the server into dir, for New. It is run in the directory of the
// module rpcx/etcd or below it.
func Build(dir string) (binary string, err error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	binary = filepath.Join(dir, "etcd.exe") // a name that fits every system
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(string(root[:len(root)-1]), "internal", "server")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build in %s: %w: %s", build.Dir, err, out)
	}
	return binary, nil
}

// A Server is an etcd of one member. It belongs to one goroutine.
type Server struct {
	URL string // for clients

	binary, dir, peer string
	cmd               *exec.Cmd
	stdin             io.Closer
}

// New returns a server that Build has made, with its data in dir, and free ports.
func New(binary, dir string) (*Server, error) {
	s := &Server{binary: binary, dir: filepath.Join(dir, "data")}
	for _, url := range []*string{&s.URL, &s.peer} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		*url = "http://" + ln.Addr().String()
	}
	return s, nil
}

// Run starts the server, for the first time or with what it knew when it was killed,
// and returns when it serves.
func (s *Server) Run() error {
	s.cmd = exec.Command(s.binary, s.dir, s.URL, s.peer)
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.stdin = stdin
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		s.Kill()
		return errors.Join(fmt.Errorf("etcd said %q", line), err)
	}
	return nil
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	s.cmd.Process.Kill() //nolint:errcheck // it may have been killed before
	s.cmd.Wait()         //nolint:errcheck // it was killed
	s.stdin.Close()
}
