//go:build !unix

package chaos

// Freeze and Thaw need signals that this system has not.
func (s *Server) Freeze() { s.tb.Error("chaos: no process can be frozen here") }

// Thaw is the opposite of Freeze.
func (s *Server) Thaw() {}

const canFreeze = false
