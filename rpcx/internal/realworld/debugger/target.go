package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// program is what is debugged: a loop that counts, until it has counted to last.
var program = []string{
	1: "for i < last {",
	2: "	i++",
	3: "	if i%100 == 0 {",
	4: "		hundreds = append(hundreds, i)",
	5: "	}",
	6: "}",
}

const last = 400

// tick is how long a line takes.
const tick = 20 * time.Microsecond

var (
	errExited  = errors.New("the program has exited with status 0")
	errRunning = errors.New("the program is running")
)

// A target is the program under the debugger.
type target struct {
	mu          sync.Mutex // protects following
	line, i     int
	hundreds    []int
	running     bool
	halted      bool // the program is to stop
	exited      bool
	breakpoints []*Breakpoint
}

func newTarget() *target { return &target{line: 1} }

// step runs one line. The caller holds mu.
func (t *target) step() {
	switch t.line {
	case 1:
		t.line = 2
		if t.i >= last {
			t.exited = true
		}
	case 2:
		t.i++
		t.line = 3
	case 3:
		t.line = 6
		if t.i%100 == 0 {
			t.line = 4
		}
	case 4:
		t.hundreds = append(t.hundreds, t.i)
		t.line = 5
	case 5:
		t.line = 6
	case 6:
		t.line = 1
	}
}

// hit is the breakpoint that the program has reached, or nil. The caller holds mu.
func (t *target) hit() *Breakpoint {
	for _, b := range t.breakpoints {
		if b.Line == t.line && (b.Cond == nil || b.Cond.Variable == "i" && b.Cond.Equals == t.i) {
			b.TotalHitCount++
			return b
		}
	}
	return nil
}

// begin has the program run, or says why it cannot.
func (t *target) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.exited:
		return errExited
	case t.running:
		return errRunning
	}
	t.running, t.halted = true, false
	return nil
}

// resume runs the program until it stops. With hang it does not come to its end: its loop
// starts over.
func (t *target) resume(hang bool) (*State, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	for {
		time.Sleep(tick)
		t.mu.Lock()
		t.step()
		if hang && t.exited {
			t.exited, t.i, t.line, t.hundreds = false, 0, 1, nil
		}
		b := t.hit()
		if b != nil || t.halted || t.exited {
			t.running = false
			s := t.state()
			s.Breakpoint = b
			t.mu.Unlock()
			return s, nil
		}
		t.mu.Unlock()
	}
}

// next runs one line.
func (t *target) next() (*State, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step()
	t.running = false
	return t.state(), nil
}

// halt has the program stop, if it runs.
func (t *target) halt() *State {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.halted = true
	return t.state()
}

// state describes the program. The caller holds mu.
func (t *target) state() *State {
	s := &State{Running: t.running, Exited: t.exited}
	if !t.running && !t.exited {
		s.Thread = &Thread{Line: t.line, Source: program[t.line]}
	}
	return s
}

// eval returns a variable.
func (t *target) eval(name string) (*Variable, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.running:
		return nil, errRunning
	case name == "i":
		return &Variable{Name: name, Type: "int", Value: fmt.Sprint(t.i)}, nil
	case name == "hundreds":
		v := &Variable{Name: name, Type: "[]int"}
		for i, n := range t.hundreds {
			v.Children = append(v.Children, Variable{Name: fmt.Sprint(i), Type: "int", Value: fmt.Sprint(n)})
		}
		return v, nil
	}
	return nil, fmt.Errorf("could not find symbol value for %s", name)
}
