package resolver

import "context"

// A Resolver determines the endpoints of a service.
type Resolver interface {
	// Watch calls deliver with the complete set of endpoints as soon as it is known, and
	// again each time that it changes, until ctx ends.
	//
	// If the set cannot be determined, Watch delivers a nil set and the error, and tries
	// again by itself; the client keeps the last good set. If only a part of the set
	// cannot be determined, Watch delivers the set first and the error after it.
	//
	// Watch returns only when ctx is done or when it gives up permanently; its error says
	// why. It does not call deliver concurrently, nor after it has returned. Once deliver
	// has returned, Watch may change the set that it has delivered.
	Watch(ctx context.Context, deliver func(set []Endpoint, err error)) error
}

// A Refresher is a Resolver that can query its source before it is due, as DNS can before
// the TTL of an answer ends.
type Refresher interface {
	Resolver
	// Refresh makes Watch query the source now. The client calls it when all endpoints in
	// use are down, and every 3 s at most while they are: the set may have changed since
	// the last query. Refresh does not wait for the answer.
	Refresh()
}

// An Endpoint is one replica of a service.
type Endpoint struct {
	Address  string            // for the client's network, as in net.Dial
	Weight   int               // capacity relative to other endpoints; 0 means 1, at most 1,000,000
	Priority int               // an endpoint gets calls only while all with a lower number are down (SRV, RFC 2782)
	Metadata map[string]string // for statistics only, except for MetadataHost
}

// MetadataHost is the key of the server's name in [Endpoint].Metadata, for an Address that
// has only an IP address. The name is the default of ServerName in rpcx.Dialer's TLSConfig.
// It is as trustworthy as the source of the set.
const MetadataHost = "host"
