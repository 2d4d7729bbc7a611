//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// detach gives the child a process group of its own, so that Ctrl-C reaches
// only the parent, which stops its children itself. Should the parent be
// killed, the system hangs up on a frozen child's orphaned group (SIGHUP, then
// SIGCONT), which would not see the end of its input.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
