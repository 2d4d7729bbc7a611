package main

import (
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"slices"
)

// serve serves one client.
func serve() error {
	server := rpc.NewServer()
	if err := server.Register(&RPCServer{target: newTarget()}); err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(lis.Addr())
	conn, err := lis.Accept()
	lis.Close() // as delve does without --accept-multiclient
	if err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(conn))
	fmt.Println("detached")
	return nil
}

// RPCServer is the debugger's service.
type RPCServer struct{ target *target }

// Command has the program run, and returns when it has stopped.
func (s *RPCServer) Command(in CommandIn, out *CommandOut) error {
	var state *State
	var err error
	switch in.Name {
	case "continue":
		state, err = s.target.resume(in.Hang)
	case "next":
		state, err = s.target.next()
	case "halt":
		state = s.target.halt()
	default:
		err = fmt.Errorf("unknown command %q", in.Name)
	}
	if err == nil {
		out.State = *state
	}
	return err
}

// State returns what the program does.
func (s *RPCServer) State(_ StateIn, out *StateOut) error {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	out.State = s.target.state()
	return nil
}

// CreateBreakpoint sets a breakpoint.
func (s *RPCServer) CreateBreakpoint(in CreateBreakpointIn, out *CreateBreakpointOut) error {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	b := in.Breakpoint
	if b.Line < 1 || b.Line >= len(program) {
		return fmt.Errorf("could not find line %d", b.Line)
	}
	b.ID = 1
	for _, other := range s.target.breakpoints {
		b.ID = max(b.ID, other.ID+1)
	}
	s.target.breakpoints = append(s.target.breakpoints, &b)
	out.Breakpoint = b
	return nil
}

// ListBreakpoints returns all breakpoints.
func (s *RPCServer) ListBreakpoints(_ ListBreakpointsIn, out *ListBreakpointsOut) error {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	for _, b := range s.target.breakpoints {
		copied := *b
		out.Breakpoints = append(out.Breakpoints, &copied)
	}
	return nil
}

// ClearBreakpoint removes a breakpoint.
func (s *RPCServer) ClearBreakpoint(in ClearBreakpointIn, out *ClearBreakpointOut) error {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	i := slices.IndexFunc(s.target.breakpoints, func(b *Breakpoint) bool { return b.ID == in.ID })
	if i < 0 {
		return fmt.Errorf("no breakpoint with id %d", in.ID)
	}
	out.Breakpoint = s.target.breakpoints[i]
	s.target.breakpoints = slices.Delete(s.target.breakpoints, i, i+1)
	return nil
}

// Eval returns a variable.
func (s *RPCServer) Eval(in EvalIn, out *EvalOut) error {
	var err error
	out.Variable, err = s.target.eval(in.Expr)
	return err
}

// Detach ends the debugging; the client hangs up after it.
func (s *RPCServer) Detach(DetachIn, *DetachOut) error {
	s.target.halt()
	return nil
}
