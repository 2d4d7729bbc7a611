//go:build unix

package main

import (
	"os"
	"syscall"
)

// canFreeze is false where there is no SIGSTOP; the demo leaves that step out.
const canFreeze = true

// freeze stops p where it stands: its connections stay open and silent.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
