package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv is the variable that makes this program a child with a role.
const roleEnv = "SPEED_ROLE"

// roles are what a child does. A child reads its order from standard input, writes its
// answer to standard output, and ends when standard input does: with its parent at the latest.
var roles = map[string]func(*json.Decoder, *json.Encoder) error{
	"server": serverRole,
	"idle":   idleRole,
}

// child reports whether this process is a child, after it has done its work.
func child() bool {
	role, ok := os.LookupEnv(roleEnv)
	if !ok {
		return false
	}
	if err := roles[role](json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // any end will do
	return true
}

// A process is a running child.
type process struct {
	cmd *exec.Cmd
	in  io.Closer // its end ends the child
}

// startChild starts a child, gives it its order, and decodes its answer.
func startChild(role string, order, answer any) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, in}
	err = json.NewEncoder(in).Encode(order)
	if err == nil {
		err = json.NewDecoder(out).Decode(answer)
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// stop ends the child and waits for it.
func (p *process) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }
