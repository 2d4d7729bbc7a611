package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clonePath stands in a document for the folder of the clone.
const clonePath = "/path/to/clone"

// ports stand in a document for three that are free.
var ports = [...]string{"7001", "7002", "7003"}

// runCommands runs the shell blocks of a document in one shell, in a folder that has
// nothing but the document's program.
func runCommands(root, dir string, d *document) error {
	replace, err := substitutes(root)
	if err != nil {
		return err
	}
	// A command that fails ends the shell, and with it what it has started. An EXIT trap
	// runs at either end. It repeats the signal: one that a job gets before it has become the
	// program that it starts is lost.
	script := "set -euxo pipefail\n" +
		"trap 'for n in 1 2 3 4 5; do kill $(jobs -pr) 2>/dev/null || break; sleep 0.1; done' EXIT\n"
	for _, b := range d.blocks {
		switch {
		case b.language == "go" && isProgram.MatchString(b.text()):
			if err := write(filepath.Join(dir, "main.go"), replace.Replace(b.text())); err != nil {
				return err
			}
		case b.language == "sh" && strings.HasPrefix(b.comment, " skipped: "):
			fmt.Printf("  %s:%d not run:%s\n", d.name, b.line, strings.TrimPrefix(b.comment, " skipped:"))
		case b.language == "sh":
			script += fmt.Sprintf(": %s:%d\n%s", d.name, b.line, replace.Replace(b.text()))
		}
	}
	shell := exec.Command("bash", "-c", script)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "PS4=  + ")
	shell.Stdout, shell.Stderr = os.Stdout, os.Stdout
	if err := shell.Run(); err != nil {
		return fmt.Errorf("the commands of %s, of which the last is printed above: %w", d.name, err)
	}
	return nil
}

// substitutes replaces what a reader would.
func substitutes(root string) (*strings.Replacer, error) {
	pairs := []string{clonePath, root}
	for _, port := range ports {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer lis.Close() // after all are found, or one is found twice
		_, free, err := net.SplitHostPort(lis.Addr().String())
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, port, free)
	}
	return strings.NewReplacer(pairs...), nil
}
