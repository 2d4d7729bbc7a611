package etcd_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/etcd"
)

// patience ends a test that would hang.
const patience = 30 * time.Second

type delivery struct {
	set []rpcx.Endpoint
	err error
}

// A watched is a service that a resolver watches.
type watched struct {
	t          *testing.T
	deliveries chan delivery
	cancel     context.CancelFunc
	end        chan error
}

func watch(t *testing.T, c *clientv3.Client) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{t, make(chan delivery, 1000), cancel, make(chan error, 1)}
	r := &etcd.Resolver{Client: c, Service: "calc"}
	go func() {
		w.end <- r.Watch(ctx, func(set []rpcx.Endpoint, err error) { w.deliveries <- delivery{slices.Clone(set), err} })
	}()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-w.end, context.Canceled)
	})
	return w
}

// next returns the next delivery and logs how long it took from begin on.
func (w *watched) next(what string, begin time.Time) delivery {
	w.t.Helper()
	select {
	case d := <-w.deliveries:
		w.t.Logf("%-28s seen after %v", what, time.Since(begin).Round(time.Millisecond))
		return d
	case <-time.After(patience):
		require.FailNow(w.t, "not seen: "+what)
		return delivery{}
	}
}

// wants takes the next delivery, which is a set of these addresses.
func (w *watched) wants(what string, begin time.Time, want ...string) []rpcx.Endpoint {
	w.t.Helper()
	d := w.next(what, begin)
	require.NoError(w.t, d.err, what)
	require.NotNil(w.t, d.set, what)
	var got []string
	for _, e := range d.set {
		got = append(got, e.Address)
	}
	require.Equal(w.t, want, got, what)
	return d.set
}

func (w *watched) fails(what string, begin time.Time, want string) {
	w.t.Helper()
	d := w.next(what, begin)
	require.Nil(w.t, d.set, what)
	require.ErrorContains(w.t, d.err, want, what)
}

func registrar(c *clientv3.Client, ttl time.Duration) *etcd.Registrar {
	return &etcd.Registrar{Client: c, Service: "calc", TTL: ttl}
}

func register(t *testing.T, r *etcd.Registrar, e rpcx.Endpoint) *etcd.Registration {
	t.Helper()
	g, err := r.Register(t.Context(), e)
	require.NoError(t, err)
	return g
}

// leases returns the leases under which the replicas are registered.
func leases(t *testing.T, c *clientv3.Client) []clientv3.LeaseID {
	t.Helper()
	resp, err := c.Get(t.Context(), "calc/", clientv3.WithPrefix())
	require.NoError(t, err)
	var ids []clientv3.LeaseID
	for _, kv := range resp.Kvs {
		ids = append(ids, clientv3.LeaseID(kv.Lease))
	}
	return ids
}

func TestReplicasComeAndGo(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	w := watch(t, c)
	now := time.Now()
	w.wants("no replica", now)

	r := registrar(c, 0)
	a := rpcx.Endpoint{Address: "a:1", Weight: 3, Priority: 1, Metadata: map[string]string{"zone": "north"}}
	now = time.Now()
	first := register(t, r, a)
	require.Equal(t, []rpcx.Endpoint{a}, w.wants("registered", now, "a:1"))

	now = time.Now()
	second := register(t, r, rpcx.Endpoint{Address: "b:1"})
	w.wants("another registered", now, "a:1", "b:1")

	a.Weight, now = 5, time.Now()
	restarted := register(t, r, a)
	require.Equal(t, 5, w.wants("registered by a new process", now, "a:1", "b:1")[0].Weight)
	require.NoError(t, first.Close())
	now = time.Now()
	require.NoError(t, second.Close())
	w.wants("deregistered", now, "a:1") // the first's end took nothing from its successor
	now = time.Now()
	require.NoError(t, restarted.Close())
	w.wants("all deregistered", now)
	require.Empty(t, leases(t, c))
}

// A thousand changes at once make few sets.
func TestManyReplicasAtOnce(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	w := watch(t, c)
	w.wants("no replica", time.Now())
	const n = 1000
	now := time.Now()
	ops := make([]clientv3.Op, 100)
	for i := 0; i < n; i += len(ops) {
		for j := range ops {
			ops[j] = clientv3.OpPut("calc/"+string(rune('a'+i/len(ops)))+string(rune('a'+j/10))+string(rune('a'+j%10))+":1", "")
		}
		_, err := c.Txn(t.Context()).Then(ops...).Commit()
		require.NoError(t, err)
	}
	deliveries := 0
	for size := 0; size < n; deliveries++ {
		d := w.next("some of a thousand", now)
		require.NoError(t, d.err)
		require.Greater(t, len(d.set), size)
		size = len(d.set)
	}
	require.LessOrEqual(t, deliveries, 10)
}

func TestKeyThatIsNotUnderstood(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	w := watch(t, c)
	w.wants("no replica", time.Now())
	put := func(key, value string) {
		_, err := c.Put(t.Context(), key, value)
		require.NoError(t, err)
	}
	put("calc2/x:1", "") // another service
	put("calc/a:1", "")
	w.wants("by hand", time.Now(), "a:1")
	put("calc/b:1", `{"weigth":2}`)
	w.wants("the others", time.Now(), "a:1")
	w.fails("a wrong value", time.Now(), `key calc/b:1: value "{\"weigth\":2}": json: unknown field "weigth"`)
	put("calc/b:1", `{"weight":2}`)
	w.wants("the value mended", time.Now(), "a:1", "b:1")
}

// etcd is killed while replicas are registered: that is said, no set is delivered
// until it is back, and then it is the same.
func TestServerKilled(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	w := watch(t, c)
	w.wants("no replica", time.Now())
	g := register(t, registrar(c, 3*time.Second), rpcx.Endpoint{Address: "a:1"})
	w.wants("registered", time.Now(), "a:1")
	lease := leases(t, c)

	now := time.Now()
	s.kill()
	w.fails("etcd killed", now, "etcd: resolve calc: ")
	for len(w.deliveries) > 0 { // in more time than the TTL
		require.Error(t, w.next("another failure", now).err, "etcd is down, so there is no other set")
	}
	now = time.Now()
	s.start()
	d := w.next("etcd back", now)
	for d.err != nil {
		d = w.next("etcd back", now)
	}
	require.Equal(t, []rpcx.Endpoint{{Address: "a:1"}}, d.set)

	// The lease was lost and is replaced, or etcd has prolonged it.
	time.Sleep(4 * time.Second)
	for len(w.deliveries) > 0 {
		w.next("registered again", now)
	}
	t.Logf("the lease is the same: %v", slices.Equal(lease, leases(t, c)))
	require.Len(t, leases(t, c), 1)
	require.NoError(t, g.Close())
	w.wants("deregistered", time.Now())
}

// An operator, or etcd itself after a long partition, revokes the lease.
func TestLeaseLost(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	w := watch(t, c)
	w.wants("no replica", time.Now())
	g := register(t, registrar(c, 3*time.Second), rpcx.Endpoint{Address: "a:1"})
	w.wants("registered", time.Now(), "a:1")
	now := time.Now()
	_, err := c.Revoke(t.Context(), leases(t, c)[0])
	require.NoError(t, err)
	w.wants("lease revoked", now)
	w.wants("registered again", now, "a:1")
	require.NoError(t, g.Close())
	w.wants("deregistered", time.Now())
}

// A server that dies is taken out when its TTL is over; one that was cut off for
// longer comes back.
func TestServerCutOff(t *testing.T) {
	s := startServer(t)
	w := watch(t, s.connect(nil))
	w.wants("no replica", time.Now())
	g := new(gate)
	registration := register(t, registrar(s.connect(g), 2*time.Second), rpcx.Endpoint{Address: "a:1"})
	w.wants("registered", time.Now(), "a:1")
	now := time.Now()
	g.set(true)
	w.wants("cut off for longer than TTL", now)
	now = time.Now()
	g.set(false)
	w.wants("no longer cut off", now, "a:1")
	g.set(true)
	require.ErrorContains(t, registration.Close(), "etcd: deregister calc/a:1: ")
	w.wants("its lease over", time.Now())
}

// The revision to watch from is gone when the resolver is back.
func TestCompactedWhileCutOff(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	g := new(gate)
	w := watch(t, s.connect(g))
	w.wants("no replica", time.Now())
	g.set(true)
	for _, key := range []string{"calc/a:1", "calc/b:1", "calc/b:1"} {
		_, err := c.Put(t.Context(), key, "")
		require.NoError(t, err)
	}
	resp, err := c.Delete(t.Context(), "calc/a:1")
	require.NoError(t, err)
	_, err = c.Compact(t.Context(), resp.Header.Revision)
	require.NoError(t, err)
	now := time.Now()
	g.set(false)
	w.wants("compacted", now, "b:1")
}

func TestMistakes(t *testing.T) {
	s := startServer(t)
	c := s.connect(nil)
	require.ErrorContains(t, new(etcd.Resolver).Watch(t.Context(), nil), "needs a Client and the name of a Service")
	for want, r := range map[string]*etcd.Registrar{
		"needs a Client and the name of a Service":  {Service: "calc"},
		"Registrar.TTL is 1.5s; want whole seconds": {Client: c, Service: "calc", TTL: 1500 * time.Millisecond},
		"Registrar.TTL is -1s; want whole seconds":  {Client: c, Service: "calc", TTL: -time.Second},
		"the address is empty":                      {Client: c, Service: "calc"},
	} {
		_, err := r.Register(t.Context(), rpcx.Endpoint{})
		require.ErrorContains(t, err, want)
	}
	_, err := registrar(c, 0).Register(t.Context(), rpcx.Endpoint{Address: "a:1", Weight: -1})
	require.ErrorContains(t, err, "the weight is -1; want a number from 0 to 1000000")
	s.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = registrar(c, 0).Register(ctx, rpcx.Endpoint{Address: "a:1"})
	require.ErrorContains(t, err, "etcd: register calc/a:1: ")
}
