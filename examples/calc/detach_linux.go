package main

import (
	"os/exec"
	"syscall"
)

// detach gives the child a process group of its own, so that Ctrl-C reaches
// only the parent, which stops its children itself. Should the parent be
// killed, the kernel kills the child: one that is frozen would not see the end
// of its input.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
