package rpcx

import (
	"errors"
	"fmt"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/debugpage"
	"resilientrpc/rpcx/internal/errtext"
)

// ErrUnknownEndpoint matches, by errors.Is, the error of [Client.Drain], [Client.Trip] and
// [Client.Reset] for an address that no endpoint in use has.
var ErrUnknownEndpoint = errors.New("rpcx: the client does not use an endpoint")

// Drain takes an endpoint out of service: its calls in flight finish, and no other call is
// sent to it until [Client.Reset]. It stays connected. If all endpoints are drained, calls
// fail with [ErrUnavailable].
//
// The address is one of [EndpointStats].Address. The reason is shown on the page of
// [DebugHandler] and may be empty. If the endpoint leaves the resolver's set or the client's
// subset ([Dialer].Subset) and returns, it takes calls again.
//
// The error matches [ErrUnknownEndpoint] if there is no such endpoint in use, and is
// [ErrShutdown] if the client is closed; an endpoint without a breaker, as that of
// [NewClient], cannot be drained. Drain does not wait, and may be called concurrently
// and by hooks of [ClientTrace].
func (c *Client) Drain(address, reason string) error {
	now := time.Now()
	e, err := c.controlled(now, address)
	if err != nil {
		return err
	}
	e.noteControl(now, "was drained by hand", reason)
	e.breaker.ForceOpen(now, errors.New(withReason("drained by hand", reason)))
	return nil
}

// Trip opens an endpoint's breaker for d, as if calls had failed: the endpoint gets no
// calls for that time, and is then probed as after any failure. Zero means the breaker's
// next open interval; negative is an error. The reason becomes part of the breaker's
// cause. Trip does not shorten an interval: if the breaker is already open for d or longer,
// that is an error. In all else, Trip is like [Client.Drain].
func (c *Client) Trip(address string, d time.Duration, reason string) error {
	if d < 0 {
		return fmt.Errorf("rpcx: Trip for %v; want a positive duration, or 0 for the breaker's own", d)
	}
	now := time.Now()
	e, err := c.controlled(now, address)
	if err != nil {
		return err
	}
	switch s := e.breaker.Stats(now); {
	case s.State == breaker.ForcedOpen:
		return fmt.Errorf("rpcx: %s is drained and takes no calls already; reset it first", e.addr)
	case s.State == breaker.Open && s.RetryAfter >= d:
		return fmt.Errorf("rpcx: %s takes no calls for %s already; trip it for longer", e.addr, errtext.Brief(s.RetryAfter))
	}
	text := "was tripped by hand"
	if d > 0 {
		text += " for " + errtext.Brief(d)
	}
	e.noteControl(now, text, reason)
	e.breaker.Trip(now, d, errors.New(withReason("tripped by hand", reason)))
	return nil
}

// Reset closes an endpoint's breaker, for whatever reason it is open, including
// [Client.Drain] and [Client.Trip]: the endpoint takes calls again, and the breaker's counts
// are cleared. The reason and the errors are as for Drain.
func (c *Client) Reset(address, reason string) error {
	now := time.Now()
	e, err := c.controlled(now, address)
	if err != nil {
		return err
	}
	e.noteControl(now, "was reset by hand", reason)
	e.breaker.Reset(now)
	return nil
}

// controlled returns the endpoint in use that has the address, if its breaker can be
// controlled.
func (c *core) controlled(now time.Time, address string) (*endpoint, error) {
	if c.closed() {
		return nil, ErrShutdown
	}
	for _, e := range c.endpoints() {
		switch {
		case e.addr != address:
		case e.breaker.State(now) == breaker.Disabled:
			return nil, fmt.Errorf("rpcx: %s has no breaker that could be opened or closed", address)
		default:
			return e, nil
		}
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownEndpoint, address)
}

// noteControl enters a control in the journal, before what it does.
func (e *endpoint) noteControl(now time.Time, text, reason string) {
	e.client.journal.Note(debugpage.Event{
		At: now, Kind: "control", Level: debugpage.Warning, Endpoint: e.addr, Text: withReason(text, reason),
	})
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ", " + reason
}
