//go:build unix

package main

import (
	"os"
	"syscall"
)

// freeze stops a process as kill -STOP does.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
