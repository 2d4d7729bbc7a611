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
	fault string // empty for a panic
	value any    // of the panic
	stack []byte // likewise
}

func (e *functionError) Error() string {
	if e.fault == "" {
		return fmt.Sprintf("Dialer.%s panicked: %v", e.field, e.value)
	}
	return "Dialer." + e.field + " " + e.fault
}

// Unwrap returns the error that the function panicked with, if it was one.
func (e *functionError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// panicked returns the error of a function that has panicked. It is called while that is
// being recovered.
func panicked(field string, value any) *functionError {
	return &functionError{field: field, value: value, stack: debug.Stack()}
}

// isNil reports whether v is nil, or a nil pointer in an interface.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return v == nil || p.Kind() == reflect.Pointer && p.IsNil()
}

// panicLog logs the first panic of a client's functions, with the stack that its error
// leaves out.
type panicLog struct {
	log  *slog.Logger // nil for slog's default
	told sync.Once
}

func (l *panicLog) note(e *functionError) {
	if e.stack != nil {
		logPanic(l.log, &l.told, "Dialer."+e.field, e.value, e.stack)
	}
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
