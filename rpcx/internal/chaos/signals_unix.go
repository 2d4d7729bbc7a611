//go:build unix

package chaos

import "syscall"

// Freeze is SIGSTOP: the process is there, and does nothing.
func (s *Server) Freeze() { s.cmd.Process.Signal(syscall.SIGSTOP) } //nolint:errcheck // it is ours

// Thaw is SIGCONT.
func (s *Server) Thaw() { s.cmd.Process.Signal(syscall.SIGCONT) } //nolint:errcheck // it is ours

const canFreeze = true
