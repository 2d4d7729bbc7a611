package resolver

import "context"

// Static is the resolver of a set that does not change, for endpoints whose weights or
// priorities are known in advance. Do not change it after it has been given to a client.
//
// rpcx.Dialer.Dial fails at once if the set is empty, if two endpoints have the same
// address, or if an address is not valid for the network.
type Static []Endpoint

// Watch implements [Resolver]. It delivers the set once.
func (s Static) Watch(ctx context.Context, deliver func([]Endpoint, error)) error {
	deliver(s, nil)
	<-ctx.Done()
	return ctx.Err()
}
