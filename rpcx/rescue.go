package rpcx

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"sync"
	"time"

	"resilientrpc/balancer"
)

// This file keeps the functions of a Dialer from ending the program: most of them run on
// goroutines of the client's. [ClientTrace] has the same for hooks.

// functionError is what a function of the Dialer's did in place of its work.
type functionError struct {
	field string // of the Dialer
	fault string
	cause error  // what it panicked with, if that was an error
	stack []byte // of a panic
}

func (e *functionError) Error() string { return "Dialer." + e.field + " " + e.fault }

func (e *functionError) Unwrap() error { return e.cause }

// panicked returns the error of a function that has panicked. It is called while that is
// being recovered.
func panicked(field string, value any) *functionError {
	cause, _ := value.(error)
	return &functionError{field: field, fault: fmt.Sprintf("panicked: %v", value), cause: cause, stack: debug.Stack()}
}

// isNil reports whether v is nil, or a nil pointer in an interface.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return v == nil || p.Kind() == reflect.Pointer && p.IsNil()
}

// panicLog logs the first panic of a function, with the stack that its error leaves out:
// more of the same would be as many as there are dials.
type panicLog struct {
	log  *slog.Logger // nil for slog's default
	once sync.Once
}

func (l *panicLog) note(e *functionError) {
	if e.stack == nil {
		return
	}
	l.once.Do(func() {
		defer func() { _ = recover() }() // it may be the log that panics
		log := l.log
		if log == nil {
			log = slog.Default()
		}
		log.Error("rpcx: "+e.Error(), "stack", string(e.stack))
	})
}

// notePanic logs the panic that an error tells of, if it does.
func (c *core) notePanic(err error) {
	var function *functionError
	if errors.As(err, &function) {
		c.panics.note(function)
	}
}

// guardedPolicy is a Dialer.Balancer that may panic. Then the balancer chooses by itself.
type guardedPolicy struct {
	balancer.Policy
	panics *panicLog
}

func guarded(p balancer.Policy, panics *panicLog) balancer.Policy {
	if p == nil {
		return nil
	}
	return guardedPolicy{p, panics}
}

// Picker implements balancer.Policy.
func (p guardedPolicy) Picker(v *balancer.View) (out balancer.Picker) {
	defer p.rescue(func() { out = guardedPicker{policy: p} })
	return guardedPicker{p.Policy.Picker(v), p}
}

func (p guardedPolicy) rescue(then func()) {
	if value := recover(); value != nil {
		p.panics.note(panicked("Balancer", value))
		then()
	}
}

// guardedPicker is a picker of such a policy; nil if the policy has panicked instead.
type guardedPicker struct {
	balancer.Picker
	policy guardedPolicy
}

// Pick implements balancer.Picker.
func (p guardedPicker) Pick(now time.Time, in balancer.PickInfo) (n *balancer.Node) {
	if p.Picker == nil {
		return nil
	}
	defer p.policy.rescue(func() { n = nil })
	return p.Picker.Pick(now, in)
}
