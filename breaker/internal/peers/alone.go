package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// aloneEnv names, in the environment of a process, the contender whose
// callback case is all that the process has to try.
const aloneEnv = "PEERS_ALONE"

// inProcess tries the callback case in a process of its own, for a contender
// may deadlock or kill it.
func inProcess(who contender) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), aloneEnv+"="+who.name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s (%w)", lastWords(string(out)), err)
	}
	return nil
}

// lastWords returns the line that says what a process died of.
func lastWords(out string) string {
	lines := strings.Split(out, "\n")
	for _, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "fatal error") {
			return line
		}
	}
	return lines[0]
}

// alone is main in such a process, and does nothing in any other.
func alone() {
	name := os.Getenv(aloneEnv)
	if name == "" {
		return
	}
	for _, who := range contenders {
		if who.name != name {
			continue
		}
		verdict := make(chan error, 1)
		go func() { verdict <- callback(who) }()
		select {
		case err := <-verdict:
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		case <-time.After(2 * time.Second): // real time: a lock is no wait of a bubble
			fmt.Println("deadlock: the listener waits for a lock that its caller holds")
			os.Exit(1)
		}
	}
	fmt.Println("no contender", name)
	os.Exit(1)
}

// callback trips a guard whose listener asks it for its state, and one whose
// listener panics.
func callback(who contender) error {
	var g guard
	var seen state
	g = who.new(settings{onChange: func(state) { seen = g.State() }})
	if err := trip(g); err != nil {
		return err
	}
	if seen != open {
		return fmt.Errorf("the listener saw %q", seen)
	}

	g = who.new(settings{onChange: func(state) { panic("listener") }})
	func() {
		defer func() { _ = recover() }()
		_ = trip(g)
	}()
	if once(g, nil) {
		return errors.New("let in by an open breaker whose listener panicked")
	}
	return nil
}
