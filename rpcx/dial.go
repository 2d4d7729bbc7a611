package rpcx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"slices"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/cause"
	"resilientrpc/rpcx/internal/config"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/queue"
	"resilientrpc/rpcx/internal/rescue"
	"resilientrpc/rpcx/internal/retry"
	"resilientrpc/rpcx/resolver"
)

// Dial connects to the net/rpc server at address, which may list replicas:
// "a:1,b:2,c:3", or be a URL: see "Addresses" in the package documentation. It fails if
// none of the replicas can be reached. The path of a Unix socket is never a list, because
// it may contain commas: see [Dialer.Dial].
func Dial(network, address string) (*Client, error) {
	var d Dialer
	return d.Dial(network, address)
}

// DialHTTP connects to an HTTP RPC server at address listening on [DefaultRPCPath].
func DialHTTP(network, address string) (*Client, error) {
	return DialHTTPPath(network, address, DefaultRPCPath)
}

// DialHTTPPath connects to an HTTP RPC server at address and path.
func DialHTTPPath(network, address, path string) (*Client, error) {
	if path == "" {
		return nil, errors.New("rpcx: DialHTTPPath has no path; use DefaultRPCPath or what the server registered")
	}
	d := Dialer{HTTPPath: path}
	return d.Dial(network, address)
}

// NewClient returns a client that uses only the connection conn. After the connection
// has ended, calls return [ErrShutdown], as in net/rpc. The client has no breaker; the
// failure detector watches the peer. NewClient panics if conn is nil.
//
// Only [Client.Close] closes the connection. When the peer is convicted, calls fail and
// the connection is not read any more: if it has deadlines, its read deadline is set to
// the past.
func NewClient(conn io.ReadWriteCloser) *Client {
	var d Dialer
	c, err := d.NewClient(conn)
	if err != nil {
		panic(err) // the connection is nil or does not carry gob; the zero Dialer is valid
	}
	return c
}

// NewClientWithCodec is like [NewClient] with a codec in place of the connection. It
// starts reading at once. Its calls have contexts, but what needs the connection is missing:
// the peer is not pinged, so a call to a peer that hangs waits for its context; requests of
// concurrent calls are not coalesced, which halves the speed with many callers; and a
// request counts as sent once the codec has it. If you have the connection, use this
// instead:
//
//	d := rpcx.Dialer{Codec: jsonrpc.NewClientCodec} // or any other codec
//	client, err := d.NewClient(conn)
//
// If the context of a call ends while the codec is writing, the call waits for up to half
// a second. Then it returns, and the codec continues with a copy of args, or, if they cannot
// be copied (see [Client.Go]), with args themselves.
func NewClientWithCodec(codec rpc.ClientCodec) *Client {
	d := Dialer{Heartbeat: -1}
	c, err := d.single(codec, func(e *endpoint) (*conn, error) { return newCodecConn(e, codec), nil })
	if err != nil {
		panic(err) // the codec is nil
	}
	return c
}

// Dial connects to the replicas at the given addresses, each of which may itself
// be a comma-separated list. With a network of Unix sockets, each address is one path, which
// may contain commas: Dial("unix", "/run/a.sock", "/run/b.sock").
//
// Dial returns as soon as one replica is connected; the others are connected in the
// background. It fails if none can be reached, or at once if the list is invalid, such as
// with an address twice or without a port. With Dialer.Lazy it does not wait. With
// Dialer.Resolver there must be no address, and Dial waits for the first set of endpoints,
// for up to 10 s, or until the resolver gives up, as it does if a file does not exist.
func (d *Dialer) Dial(network string, addresses ...string) (*Client, error) {
	return d.DialContext(context.Background(), network, addresses...)
}

// DialContext is like [Dialer.Dial]. The context bounds the dialing only, not the
// client.
func (d *Dialer) DialContext(ctx context.Context, network string, addresses ...string) (*Client, error) {
	source, err := d.resolver(network, addresses)
	if err != nil {
		return nil, err
	}
	var set []Endpoint
	fixed, isStatic := source.(resolver.Static)
	switch {
	case source == nil:
		set, err = dialing.Split(network, addresses)
		if err == nil && (len(set) > 1 || d.Lazy) { // what is wrong with one, net.Dial says best
			err = dialing.Check(network, set, d.NetDial == nil)
		}
	case isStatic && len(fixed) == 0:
		err = errors.New("rpcx: Static has no endpoints; name at least one")
	case isStatic:
		err = dialing.Check(network, fixed, d.NetDial == nil)
	}
	if err != nil {
		return nil, err
	}
	c, err := d.newCore(network)
	if err != nil {
		return nil, err
	}
	switch {
	case source == nil:
		err = c.membership.take(time.Now(), set).Err
	case isStatic:
		err = c.membership.apply(time.Now(), delivery{set: slices.Clone(fixed)})
	default:
		c.membership.refresher, _ = source.(Refresher)
		c.background(func() { c.resolve(source) })
		if !d.Lazy {
			err = c.firstSet(ctx)
		}
	}
	switch {
	case err != nil:
	case d.Lazy:
		c.connectAll()
	default:
		err = c.first(ctx)
	}
	if err != nil {
		c.close() //nolint:errcheck // the error of dialing says more
		return nil, err
	}
	c.watch(source != nil && !isStatic)
	return newClient(c), nil
}

// resolver returns the resolver of the endpoints, or nil if the addresses are their own.
func (d *Dialer) resolver(network string, addresses []string) (Resolver, error) {
	switch {
	case d.Resolver != nil && len(addresses) > 0:
		return nil, errors.New("rpcx: Dialer.Resolver is set beside addresses; dial without addresses, or leave it nil")
	case d.Resolver == nil && len(addresses) == 1:
		return dialing.Resolver(network, addresses[0]) // of "dns:///host:port" and the like
	}
	return d.Resolver, nil
}

// NewClient is like the function [NewClient] with the options of d. Options of dialing,
// retries, hedges and breakers have no effect on a single connection.
func (d *Dialer) NewClient(rwc io.ReadWriteCloser) (*Client, error) {
	return d.single(rwc, func(e *endpoint) (*conn, error) { return newConn(e, rwc) })
}

// single is a client with one connection for life, which is made of what was given.
func (d *Dialer) single(given any, connect func(*endpoint) (*conn, error)) (*Client, error) {
	if rescue.IsNil(given) {
		return nil, fmt.Errorf("rpcx: the client is given %T in place of a connection or a codec", given)
	}
	fixed := *d
	fixed.Breaker = breaker.Config{Disabled: true}
	fixed.Retry = Retry{MaxAttempts: -1} // there is nowhere else to go
	fixed.Hedge = nil
	fixed.Conns = 1
	c, err := fixed.newCore("")
	if err != nil {
		return nil, err
	}
	c.membership.take(time.Now(), []Endpoint{{Address: peerOf(given)}})
	e := c.endpoints()[0]
	e.fixed, c.fixed = true, true // before the connection, which may end at once
	conn, err := connect(e)
	if err != nil {
		c.cancel()
		c.panics.Note(err)
		return nil, fmt.Errorf("rpcx: %w", err)
	}
	c.codec = conn.Wire() == nil
	e.adopt(&e.pool.slots[0], conn)
	c.watch(false)
	return newClient(c), nil
}

// peerOf is the address of a given connection's peer, or a word in its place.
func peerOf(given any) (address string) {
	const unknown = "peer"
	defer func() {
		if recover() != nil { // a connection without that method, which embeds a nil net.Conn
			address = unknown
		}
	}()
	if c, ok := given.(interface{ RemoteAddr() net.Addr }); ok {
		if a := c.RemoteAddr(); a != nil {
			return cmp.Or(a.String(), unknown)
		}
	}
	return unknown
}

// newCore returns what a client without endpoints consists of.
func (d *Dialer) newCore(network string) (*core, error) {
	full, err := d.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{
		dialer: full, network: network, born: time.Now(), budget: retry.NewBudget(full.Retry.Budget),
		journal: new(journal), panics: rescue.NewLog(full.Logger),
	}
	c.dialer.Trace = full.Trace.Join(c.journal.trace())
	c.dialer.Breaker.Rand = rescue.Rand(full.Breaker.Rand, "Breaker.Rand", c.panics)
	c.next = c.nextCall
	c.underway.idle = make(chan struct{}, 1)
	if c.balancer, err = balancer.New(balancer.Config{
		Policy: rescue.Policy(full.Balancer, c.panics), Subset: full.Subset, MaxInFlight: full.MaxInFlight, Initial: balancer.Suspect,
	}); err != nil {
		return nil, err
	}
	if c.patterns, err = newMethodTable(full.Methods); err != nil {
		return nil, err
	}
	c.policies.Make = full.Retry.BackOff
	c.limit, c.room = queue.NewLimiter(full.MaxCalls, full.QueueTimeout), newRoom(full.MaxInFlight, full.QueueTimeout)
	c.hedger = newHedger(full.Hedge)
	if full.Throttle != nil {
		throttle := *full.Throttle
		throttle.Rand = rescue.Rand(throttle.Rand, "Throttle.Rand", c.panics)
		if c.throttle, err = breaker.NewThrottle(throttle); err != nil {
			return nil, config.InDialer("Throttle", err)
		}
	}
	if _, err := breaker.New(full.Breaker); err != nil {
		return nil, config.InDialer("Breaker", err)
	}
	trial, err := detector.New(full.Detector)
	if err != nil {
		return nil, config.InDialer("Detector", err)
	}
	c.phiLimit = trial.Stats(c.born).Threshold
	c.membership = newMembership(c)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// newEndpoint returns the endpoint of a replica. The configurations of its breaker
// and its detector have been found valid by newCore.
func (c *core) newEndpoint(rep *replica, n *balancer.Node) *endpoint {
	e := &endpoint{
		client: c, replica: rep, addr: rep.listed.Load().Address, node: n, pings: c.dialer.Heartbeat > 0,
		pool: newPool(c.dialer.Conns), wake: make(chan struct{}, 1),
	}
	cfg := c.dialer.Breaker
	cfg.OnChange = e.breakerChanged
	e.breaker, _ = breaker.New(cfg)
	e.detector, _ = detector.New(c.dialer.Detector)
	if e.pings {
		e.alarm.arm()
	}
	e.detector.Expect(c.born) // its silence is what is owed, and that is nothing yet
	e.detector.Forget(c.born)
	return e
}

// dialRounds is how often Dial connects to what is in use of a large fleet, and
// when none of that can be reached, to what takes its place.
const dialRounds = 3

// first connects to all endpoints in use at once and waits for one.
func (c *core) first(ctx context.Context) error {
	var errs []error
	for range dialRounds {
		more := c.endpoints()[len(errs):] // the order of what is in use stays
		if len(more) == 0 {
			break
		}
		failed, err := c.firstOf(ctx, more)
		if failed == nil {
			return err
		}
		errs = append(errs, failed...)
		c.membership.reconcile(time.Now(), 0)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// firstOf returns an error of each endpoint if none can be reached, and otherwise
// nil or the context's error.
func (c *core) firstOf(ctx context.Context, endpoints []*endpoint) (failed []error, err error) {
	type dialed struct {
		i   int
		err error
	}
	ends := make(chan dialed, len(endpoints))
	for i, e := range endpoints {
		c.background(func() {
			_, err := e.connect(c.ctx, &e.pool.slots[0])
			ends <- dialed{i, err}
		})
	}
	errs := make([]error, len(endpoints))
	for range endpoints {
		select {
		case d := <-ends:
			if d.err == nil {
				return nil, nil
			}
			errs[d.i] = dialCause(d.err)
		case <-ctx.Done():
			return nil, cause.Of(ctx)
		}
	}
	return errs, nil
}

// connectAll begins to connect to all endpoints in use.
func (c *core) connectAll() {
	for _, e := range c.endpoints() {
		e.connectLater(&e.pool.slots[0])
	}
}

// watch starts the probers, and the membership if the endpoints may change.
func (c *core) watch(resolved bool) {
	c.membership.start()
	if resolved || len(c.balancer.InUse(time.Now())) < len(c.balancer.Nodes()) {
		c.background(func() { c.membership.run(c.ctx) })
	}
	if c.dialer.Conns > 1 {
		for _, e := range c.endpoints() {
			e.kick() // the prober makes the others
		}
	}
}
