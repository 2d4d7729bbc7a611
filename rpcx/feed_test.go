package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A feed is a resolver that says what the test tells it to. It gives up when it is
// closed.
type feed chan said

type said struct {
	set []rpcx.Endpoint
	err error
}

func (f feed) Watch(ctx context.Context, deliver func([]rpcx.Endpoint, error)) error {
	for {
		select {
		case s, ok := <-f:
			if !ok {
				return errors.New("the registry is gone")
			}
			deliver(s.set, s.err)
			clear(s.set) // it is ours again
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// say delivers a set and waits until the client has acted on it.
func (f feed) say(addrs ...string) { f.saySet(setOf(addrs...), nil) }

func (f feed) saySet(set []rpcx.Endpoint, err error) {
	f <- said{set, err}
	synctest.Wait()
}

func setOf(addrs ...string) []rpcx.Endpoint {
	set := make([]rpcx.Endpoint, len(addrs))
	for i, a := range addrs {
		set[i].Address = a
	}
	return set
}

// resolve dials with a feed whose first set has the given addresses.
func (f *fleet) resolve(addrs ...string) (*rpcx.Client, feed) {
	f.t.Helper()
	sets := make(feed)
	f.dialer.Resolver = sets
	go func() { sets <- said{set: setOf(addrs...)} }()
	c, err := f.dialer.Dial("tcp")
	require.NoError(f.t, err)
	return c, sets
}

// news is what the Resolved hook was told.
type news struct {
	mu    sync.Mutex // protects following
	infos []rpcx.ResolvedInfo
}

func (n *news) all() []rpcx.ResolvedInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.infos)
}

func (n *news) last() rpcx.ResolvedInfo {
	all := n.all()
	return all[len(all)-1]
}

func (f *fleet) news() *news {
	n := new(news)
	f.dialer.Trace = &rpcx.ClientTrace{Resolved: func(i rpcx.ResolvedInfo) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.infos = append(n.infos, i)
	}}
	return n
}

// A logbook is a bytes.Buffer for several.
type logbook struct {
	mu   sync.Mutex // protects following
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func addresses(c *rpcx.Client) (addrs []string) {
	for _, e := range c.Stats().Endpoints {
		addrs = append(addrs, e.Address)
	}
	return addrs
}
