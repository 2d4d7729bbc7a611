package debugpage

import (
	"encoding/json"
	"errors"
	"time"
)

// A Client provides the page with the data of one client. Its methods may be called
// concurrently.
type Client interface {
	// State returns the current state.
	State() State
	// Events returns the events that were added or repeated after change number rev, the
	// oldest first.
	Events(rev uint64) []Event
	// Control executes an order. The effect is a sentence that begins with the endpoint's
	// address. The error is ErrNoEndpoint, or says why the state does not allow the
	// order.
	Control(Order) (effect string, err error)
}

// ErrNoEndpoint is the error of [Client].Control if the client does not use the endpoint.
var ErrNoEndpoint = errors.New("rpcx: the client does not use the endpoint")

// State is a client at one moment.
type State struct {
	Closed       bool
	PhiThreshold float64 // the phi that convicts
	Endpoints    []Endpoint
	// Figures returns a value that is encoded as a JSON object with the client's
	// statistics, and with the given endpoints as its field Endpoints.
	Figures func(endpoints []json.RawMessage) any
}

// Endpoint is an endpoint of a client at one moment.
type Endpoint struct {
	Address string
	Figures any // encoded as a JSON object with the field Address
}

// An Order is a request of a user to change the breaker of one endpoint.
type Order struct {
	At       time.Time
	Endpoint string // the endpoint's address
	Action   Action
	For      time.Duration // duration of a Trip; positive
	From     string        // the user's address
}

// An Action is what an Order does.
type Action string

const (
	Trip  Action = "trip"  // the endpoint gets no calls for some time
	Drain Action = "drain" // the endpoint gets no calls until it is reset
	Reset Action = "reset" // the endpoint gets calls again
)
