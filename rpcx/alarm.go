package rpcx

import (
	"context"
	"sync/atomic"
)

// alarm tells the calls that wait on an endpoint that it has become suspect. Its zero value
// is not armed.
type alarm struct{ armed atomic.Pointer[armedAlarm] }

type armedAlarm struct {
	ctx  context.Context // ends with the alarm
	ring context.CancelFunc
}

// arm makes the alarm ready.
func (l *alarm) arm() {
	ctx, ring := context.WithCancel(context.Background())
	l.armed.Store(&armedAlarm{ctx, ring})
}

// ring ends the context of the calls that wait.
func (l *alarm) ring() {
	if armed := l.armed.Swap(nil); armed != nil {
		armed.ring()
	}
}

// context ends when the endpoint becomes suspect. It is nil if it is suspect already.
func (l *alarm) context() context.Context {
	if armed := l.armed.Load(); armed != nil {
		return armed.ctx
	}
	return nil
}
