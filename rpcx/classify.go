package rpcx

import (
	"log/slog"
	"sync"

	"resilientrpc/rpcx/internal/rescue"
)

// Class is what [Dialer].Classify says of an error that a method returned. Values beyond
// those named here count as AppError.
type Class uint8

const (
	// AppError says that the error is the method's answer: the endpoint works, and the call
	// fails with it.
	AppError Class = iota
	// EndpointFailure says that the endpoint is out of order, such as a replica that has
	// lost its database. Its breaker counts a failure, the balancer turns away from it, and
	// an idempotent call is tried elsewhere, within Retry.
	EndpointFailure
	// TryElsewhere says that the endpoint works, but not for this call, such as a replica
	// that is not the leader. Its breaker counts a success, and an idempotent call is tried
	// elsewhere, within Retry.
	TryElsewhere
)

// classified is the end of an attempt, of which the user may know more than its cause
// tells.
func (c *core) classified(method string, res result) end {
	if res.end != methodFailed || c.dialer.Classify == nil {
		return res.end
	}
	switch c.dialer.Classify(method, res.err) {
	case EndpointFailure:
		return endpointFailed
	case TryElsewhere:
		return misdirected
	}
	return methodFailed
}

// guardClassify returns a function that does not panic: it may run in a goroutine of the
// client's.
func guardClassify(log *slog.Logger, classify func(string, error) Class) func(string, error) Class {
	if classify == nil {
		return nil
	}
	told := new(sync.Once)
	return func(method string, err error) Class {
		defer rescue.Stop(log, told, "Dialer.Classify")
		return classify(method, err)
	}
}
