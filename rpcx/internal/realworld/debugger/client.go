package main

import (
	"bufio"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"strconv"
	"strings"
)

// A Client calls a debugger.
type Client struct{ client *rpc.Client }

func (c *Client) call(method string, args, reply any) error {
	return c.client.Call("RPCServer."+method, args, reply)
}

// Continue has the program run. The channel gets the state in which it stops.
func (c *Client) Continue(hang bool) <-chan string {
	stopped := make(chan string, 1)
	go func() {
		var out CommandOut
		if err := c.call("Command", CommandIn{Name: "continue", Hang: hang}, &out); err != nil {
			stopped <- "continue: " + err.Error()
			return
		}
		stopped <- describe(&out.State)
	}()
	return stopped
}

// terminal is the command line: what it has running is one continue at most.
type terminal struct {
	*Client
	stopped <-chan string
}

// connect runs the commands of its input.
func connect(addr string, in io.Reader) error {
	client, err := jsonrpc.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer client.Close()
	term := &terminal{Client: &Client{client}}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := term.run(append(strings.Fields(lines.Text()), "", "", ""))
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

func (t *terminal) run(args []string) (string, error) {
	switch args[0] {
	case "break":
		return t.create(args[1], args[2])
	case "breakpoints":
		return t.list()
	case "clear":
		id, _ := strconv.Atoi(args[1])
		var out ClearBreakpointOut
		if err := t.call("ClearBreakpoint", ClearBreakpointIn{id}, &out); err != nil {
			return "", err
		}
		return fmt.Sprintf("breakpoint %d cleared, hit %d times", out.Breakpoint.ID, out.Breakpoint.TotalHitCount), nil
	case "continue":
		return <-t.Continue(false), nil
	case "loop": // a continue that does not end by itself
		t.stopped = t.Continue(true)
		return t.untilRunning()
	case "stopped":
		return <-t.stopped, nil
	case "halt", "next":
		var out CommandOut
		err := t.call("Command", CommandIn{Name: args[0]}, &out)
		return describe(&out.State), err
	case "state":
		var out StateOut
		if err := t.call("State", StateIn{NonBlocking: true}, &out); err != nil {
			return "", err
		}
		return describe(out.State), nil
	case "print":
		return t.print(args[1])
	case "detach":
		return "detached", t.call("Detach", DetachIn{Kill: true}, new(DetachOut))
	}
	return "", fmt.Errorf("command %q not available", args[0])
}

// untilRunning waits until the program runs.
func (t *terminal) untilRunning() (string, error) {
	for {
		if s, err := t.run([]string{"state"}); err != nil || s == "running" {
			return s, err
		}
	}
}

func (t *terminal) create(line, i string) (string, error) {
	var in CreateBreakpointIn
	in.Breakpoint.Line, _ = strconv.Atoi(line)
	if n, err := strconv.Atoi(i); err == nil {
		in.Breakpoint.Cond = &Cond{Variable: "i", Equals: n}
	}
	var out CreateBreakpointOut
	if err := t.call("CreateBreakpoint", in, &out); err != nil {
		return "", err
	}
	return fmt.Sprintf("breakpoint %d at line %d", out.Breakpoint.ID, out.Breakpoint.Line), nil
}

func (t *terminal) list() (string, error) {
	var out ListBreakpointsOut
	if err := t.call("ListBreakpoints", ListBreakpointsIn{}, &out); err != nil {
		return "", err
	}
	var all []string
	for _, b := range out.Breakpoints {
		all = append(all, fmt.Sprintf("%d: line %d, hit %d times", b.ID, b.Line, b.TotalHitCount))
	}
	return strings.Join(all, "; "), nil
}

func (t *terminal) print(name string) (string, error) {
	var out EvalOut
	if err := t.call("Eval", EvalIn{name}, &out); err != nil {
		return "", err
	}
	v := out.Variable
	if v.Children == nil {
		return fmt.Sprintf("%s %s = %s", v.Name, v.Type, v.Value), nil
	}
	var values []string
	for _, c := range v.Children {
		values = append(values, c.Value)
	}
	return fmt.Sprintf("%s %s = [%s]", v.Name, v.Type, strings.Join(values, " ")), nil
}

func describe(s *State) string {
	switch {
	case s.Running:
		return "running"
	case s.Exited:
		return "exited"
	case s.Breakpoint != nil:
		return fmt.Sprintf("breakpoint %d: line %d: %s", s.Breakpoint.ID, s.Thread.Line, strings.TrimSpace(s.Thread.Source))
	case s.Thread != nil:
		return "stopped"
	}
	return "unknown"
}
