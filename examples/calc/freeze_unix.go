//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

const canFreeze = true

// freeze stops p where it stands: its connections stay open and silent.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

// detach gives the child a process group of its own. Ctrl-C then reaches only
// the parent, which stops its children itself; and should the parent be
// killed, the kernel hangs up on a frozen child's orphaned group (SIGHUP, then
// SIGCONT), which end of input alone could not wake.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
