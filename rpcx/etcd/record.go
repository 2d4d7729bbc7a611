package etcd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/hostport"
)

// maxNumber is the largest weight that the balancer takes, and priority.
const maxNumber = 1_000_000

// A record is the value of a replica's key.
type record struct {
	Weight   int               `json:"weight,omitempty"`
	Priority int               `json:"priority,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// prefix begins the key of each replica of a service.
func prefix(service string) string { return strings.TrimSuffix(service, "/") + "/" }

// decode returns the endpoint that a key without its prefix and a value stand for.
func decode(address string, value []byte) (rpcx.Endpoint, error) {
	e := rpcx.Endpoint{Address: address}
	var r record
	if len(bytes.TrimSpace(value)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			return e, fmt.Errorf("value %q: %w", value, err)
		}
		if dec.More() {
			return e, fmt.Errorf("value %q: more than one JSON object", value)
		}
	}
	e.Weight, e.Priority, e.Metadata = r.Weight, r.Priority, r.Metadata
	return e, check(e)
}

func encode(e rpcx.Endpoint) (string, error) {
	if err := check(e); err != nil {
		return "", err
	}
	b, err := json.Marshal(record{e.Weight, e.Priority, e.Metadata})
	return string(b), err
}

// check returns why no client can use the endpoint. Its address is one of TCP, or of a
// Unix socket.
func check(e rpcx.Endpoint) error {
	switch _, err := hostport.Canonical("tcp", e.Address); {
	case e.Address == "":
		return errors.New("the address is empty")
	case err != nil && !strings.HasPrefix(e.Address, "/") && !strings.HasPrefix(e.Address, "@"): // Unix sockets
		return err
	case e.Weight < 0 || e.Weight > maxNumber:
		return fmt.Errorf("the weight is %d; want a number from 0 to %d", e.Weight, maxNumber)
	case e.Priority < 0 || e.Priority > maxNumber:
		return fmt.Errorf("the priority is %d; want a number from 0 to %d", e.Priority, maxNumber)
	}
	return nil
}
