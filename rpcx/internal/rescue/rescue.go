// Package rescue keeps functions that a user gives from ending the program: most of them run
// on goroutines of the client's.
//
// A panic becomes an error that names the function, is logged with its stack once, or both.
// The package starts no goroutine. It imports the pillar balancer, whose policies are among
// those functions, and nothing else but the standard library.
package rescue

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"sync"
)

// Error is what a function of the Dialer's did in place of its work.
type Error struct {
	Field string // of the Dialer
	Fault string // empty for a panic
	value any    // of the panic
	stack []byte // likewise
}

func (e *Error) Error() string {
	if e.Fault == "" {
		return fmt.Sprintf("Dialer.%s panicked: %v", e.Field, e.value)
	}
	return "Dialer." + e.Field + " " + e.Fault
}

// Unwrap returns the error that the function panicked with, if it was one.
func (e *Error) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// Panicked returns the error of a function that has panicked. It is called while that is
// being recovered.
func Panicked(field string, value any) *Error {
	return &Error{Field: field, value: value, stack: debug.Stack()}
}

// IsNil reports whether v is nil, or a nil pointer in an interface.
func IsNil(v any) bool {
	p := reflect.ValueOf(v)
	return v == nil || p.Kind() == reflect.Pointer && p.IsNil()
}

// Log logs the first panic of a client's functions, with the stack that its error leaves
// out. It is safe for concurrent use.
type Log struct {
	log  *slog.Logger // nil for slog's default
	told sync.Once
}

// NewLog returns a Log that writes to log or, if that is nil, to slog's default.
func NewLog(log *slog.Logger) *Log { return &Log{log: log} }

// Note logs the panic that an error tells of, if it does.
func (l *Log) Note(err error) {
	var e *Error
	if errors.As(err, &e) && e.stack != nil {
		logPanic(l.log, &l.told, "Dialer."+e.Field, e.value, e.stack)
	}
}

// Stop is deferred. It logs the first panic of a hook; more of the same would
// be as many as there are calls.
func Stop(log *slog.Logger, told *sync.Once, function string) {
	if v := recover(); v != nil {
		logPanic(log, told, function, v, debug.Stack())
	}
}

// logPanic logs a panic, unless one was told already.
func logPanic(log *slog.Logger, told *sync.Once, function string, value any, stack []byte) {
	told.Do(func() {
		defer func() { _ = recover() }() // it may be the log that panics
		if log == nil {
			log = slog.Default()
		}
		log.Error(function+" panicked", "panic", value, "stack", string(stack))
	})
}
