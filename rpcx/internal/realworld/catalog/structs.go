package main

import (
	"reflect"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The first byte of a connection says what it carries.
const (
	typePlain     = 0 // one stream of requests
	typeMultiplex = 4 // a session of yamux
)

// handle is how both ends write msgpack.
var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.MapType, h.RawToString = reflect.TypeFor[map[string]any](), true // of what is decoded into an any
	return h
}

// QueryOptions are part of each query.
type QueryOptions struct {
	MinQueryIndex uint64 // wait until the catalog is newer than that
	MaxQueryTime  time.Duration
}

// QueryMeta is part of each answer to a query.
type QueryMeta struct{ Index uint64 }

// NodeService is a service of a node.
type NodeService struct {
	Service string
	Port    int
	Tags    []string
	Meta    map[string]string
	Proxy   map[string]any `codec:",omitempty"`
}

// RegisterRequest enters a service of a node in the catalog.
type RegisterRequest struct {
	Node    string
	Address string
	Service *NodeService
	Secret  []byte
}

// ServiceQuery asks for the nodes that have a service.
type ServiceQuery struct {
	ServiceName string
	QueryOptions
}

// ServiceNode is one of them.
type ServiceNode struct {
	Node, Address string
	NodeService   *NodeService
	CreateTime    time.Time
}

// IndexedServiceNodes answers a ServiceQuery.
type IndexedServiceNodes struct {
	ServiceNodes []*ServiceNode
	QueryMeta
}

// IndexedServices has the names of all services, with the number of their nodes.
type IndexedServices struct {
	Services map[string]int
	QueryMeta
}
