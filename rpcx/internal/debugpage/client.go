package debugpage

import (
	"encoding/json"
	"errors"
	"time"
)

// A Client is what the page is given of one client. Its methods may be called
// concurrently.
type Client interface {
	// State returns the present state.
	State() State
	// Events returns the events that were added or repeated after the change with the
	// number rev, the oldest first.
	Events(rev uint64) []Event
	// Control carries out an order, and returns what it did as a sentence that begins
	// with the endpoint's address. The error is ErrNoEndpoint, or says why the order
	// cannot be carried out in the present state.
	Control(Order) (effect string, err error)
}

// ErrNoEndpoint is the error of [Client].Control if the client does not use the endpoint.
var ErrNoEndpoint = errors.New("rpcx: the client does not use the endpoint")

// State is a client at one moment.
type State struct {
	Closed       bool
	PhiThreshold float64 // the phi that convicts
	Endpoints    []Endpoint
	// Figures returns a value whose JSON is an object with the client's own figures, and
	// with these endpoints as the field Endpoints.
	Figures func(endpoints []json.RawMessage) any
}

// Endpoint is an endpoint of a client at one moment.
type Endpoint struct {
	Address string
	Figures any // encoded as a JSON object with the field Address
}

// An Order is a change of one endpoint's breaker, requested by hand.
type Order struct {
	At       time.Time
	Endpoint string // its address
	Action   Action
	For      time.Duration // of a Trip, positive
	From     string        // the address it was requested from
}

// An Action is what an Order does.
type Action string

const (
	Trip  Action = "trip"  // the endpoint takes no calls for some time
	Drain Action = "drain" // the endpoint takes no calls until it is reset
	Reset Action = "reset" // the endpoint takes calls
)
