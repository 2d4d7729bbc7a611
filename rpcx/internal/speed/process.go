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

// roles are what a child does. A child reads orders from standard input, answers each on
// standard output, and ends when standard input does: with its parent at the latest.
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
	cmd     *exec.Cmd
	in      io.Closer // its end ends the child
	orders  *json.Encoder
	answers *json.Decoder
}

// startChild starts a child, and gives it its first order.
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
	p := &process{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}
	if err := p.ask(order, answer); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// ask gives the child an order and decodes its answer.
func (p *process) ask(order, answer any) error {
	if err := p.orders.Encode(order); err != nil {
		return err
	}
	return p.answers.Decode(answer)
}

// stop ends the child and waits for it.
func (p *process) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }
