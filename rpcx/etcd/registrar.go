package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"resilientrpc/rpcx"
)

// A Registrar registers replicas of a service.
type Registrar struct {
	// Client is the client of etcd. It is not closed.
	Client *clientv3.Client
	// Service is the name to register under; see [Resolver].
	Service string
	// TTL is how long a replica stays registered after it has died without
	// deregistering, and how long etcd may be unreachable before the replica must be
	// registered again. Zero means 10 s. It is in whole seconds, and etcd raises it to a
	// minimum, 2 s as a rule.
	TTL time.Duration
	// Logger gets the loss of a lease and the new registration. Nil means no log.
	Logger *slog.Logger
}

const defaultTTL = 10 * time.Second

// Register adds a replica to the set of its service until [Registration.Close]. If the
// lease is lost, because etcd was unreachable for longer than TTL or has revoked the lease,
// the replica is registered again as soon as possible. The context limits the first
// registration only, which fails with the context's error, and takes at most 6 s in any case.
//
// Call Register when the server is listening. It replaces an earlier registration of the
// address, so a restarted server need not wait for the end of its old lease.
func (r *Registrar) Register(ctx context.Context, e rpcx.Endpoint) (*Registration, error) {
	seconds, err := r.seconds()
	if err != nil {
		return nil, err
	}
	value, err := encode(e)
	if err != nil {
		return nil, fmt.Errorf("etcd: register for %s: %w", r.Service, err)
	}
	g := &Registration{
		client: r.Client, key: prefix(r.Service) + e.Address, value: value, seconds: seconds,
		log: slog.New(slog.DiscardHandler), done: make(chan struct{}),
	}
	if r.Logger != nil {
		g.log = r.Logger.With("key", g.key)
	}
	if err := g.put(ctx); err != nil {
		return nil, fmt.Errorf("etcd: register %s: %w", g.key, err)
	}
	background, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go g.run(background)
	return g, nil
}

func (r *Registrar) seconds() (int64, error) {
	ttl := r.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	switch {
	case r.Client == nil || r.Service == "":
		return 0, errors.New("etcd: Registrar needs a Client and the name of a Service")
	case ttl < time.Second || ttl%time.Second != 0:
		return 0, fmt.Errorf("etcd: Registrar.TTL is %v; want whole seconds, or 0 for %v", r.TTL, defaultTTL)
	}
	return int64(ttl / time.Second), nil
}

// A Registration is one replica in the set of its service.
type Registration struct {
	client     *clientv3.Client
	key, value string
	seconds    int64
	log        *slog.Logger
	cancel     context.CancelFunc
	done       chan struct{} // closed when run has returned

	lease clientv3.LeaseID // run's, until it is done
}

// Close removes the replica from the set, but not a later registration of the same
// address. A server that stops should call it first, and continue to serve until clients
// have the new set. If etcd cannot be reached within three seconds, Close returns an error,
// and the replica is removed at the end of its TTL. Close must be called once.
func (g *Registration) Close() error {
	g.cancel()
	<-g.done
	if err := g.revoke(); err != nil {
		return fmt.Errorf("etcd: deregister %s: %w", g.key, err)
	}
	return nil
}

// revoke ends the lease, and with it the key.
func (g *Registration) revoke() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err := g.client.Revoke(ctx, g.lease)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// run keeps the lease, and takes another one when it is lost. Register starts it,
// Close stops it and waits for it.
func (g *Registration) run(ctx context.Context) {
	defer close(g.done)
	for {
		g.keep(ctx)
		if ctx.Err() != nil {
			return
		}
		g.log.Warn("etcd lease lost", "lease", g.lease)
		if !g.again(ctx) {
			return
		}
		g.log.Info("registered in etcd again", "lease", g.lease)
	}
}

// keep keeps the lease alive for as long as it can be.
func (g *Registration) keep(ctx context.Context) {
	answers, err := g.client.KeepAlive(ctx, g.lease)
	if err != nil {
		return
	}
	for range answers { //nolint:revive // each says that the lease lives
	}
}

// again registers until that succeeds, and reports false if ctx ends before.
func (g *Registration) again(ctx context.Context) bool {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		err := g.put(ctx)
		if err == nil {
			return true
		}
		g.log.Warn("cannot register in etcd", "err", err)
		pause(ctx, retry.NextBackOff())
	}
	return false
}

// put takes a lease and sets the key under it.
func (g *Registration) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lease, err := g.client.Grant(ctx, g.seconds)
	if err != nil {
		return err
	}
	g.lease = lease.ID
	_, err = g.client.Put(ctx, g.key, g.value, clientv3.WithLease(lease.ID))
	if err != nil { // the key may have been set all the same
		g.revoke() //nolint:errcheck // then it ends with the lease
	}
	return err
}
