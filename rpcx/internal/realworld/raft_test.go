//go:build unix

package realworld

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

// Without faults, both do the same.
func TestRaft(t *testing.T) {
	leak.Check(t)
	commands := []string{"get x", "append x a", "append x b", "append y c", "get x", "get y", "get z"}
	want := []string{"get x ", "append x a", "append x ab", "append y c", "get x ab", "get y c", "get z "}
	same(t, want, func(t *testing.T, variant string) []string {
		client := newCluster(t, variant).client("client")
		client.say(commands...)
		return client.rest()
	})
}

// A fault is what befalls a cluster, which has mostly a majority left.
type fault struct {
	name  string
	do    func(c *cluster, leader int)
	hangs bool // some calls, or all, may wait for its end
}

var faults = []fault{
	{"the leader is killed", func(c *cluster, l int) { c.kill(l) }, false},
	{"the leader is frozen", func(c *cluster, l int) { c.nodes[l].freeze() }, true},
	{"all are killed", func(c *cluster, _ int) { c.kill(0, 1, 2, 3, 4) }, true},
	{"two others are killed", func(c *cluster, l int) { c.kill(other(l, 1), other(l, 2)) }, false},
	{"all connections are cut", func(c *cluster, _ int) {
		for _, row := range c.proxies {
			for _, p := range row {
				if p != nil {
					p.cut()
				}
			}
		}
	}, false},
	{"the leader is cut off", func(c *cluster, l int) { c.isolate(refused, l) }, false},
	{"the leader and another are behind a link that stalls", func(c *cluster, l int) { c.isolate(stalled, l, other(l, 1)) }, true},
	{"the leader and another are parted from the others, and clients reach all", func(c *cluster, l int) {
		c.isolate(stalled, l, other(l, 1))
		for _, p := range c.proxies[clients] {
			p.set(passing)
		}
	}, false},
	{"two others are frozen", func(c *cluster, l int) {
		c.nodes[other(l, 3)].freeze()
		c.nodes[other(l, 4)].freeze()
	}, false},
	{"the leader is behind a link that stalls, and another is killed", func(c *cluster, l int) {
		c.isolate(stalled, l)
		c.kill(other(l, 2))
	}, true},
	{"two others are cut off", func(c *cluster, l int) { c.isolate(refused, other(l, 1), other(l, 4)) }, false},
	{"the leader is cut off in one direction", func(c *cluster, l int) {
		for to := range size {
			if to != l {
				c.proxies[l][to].set(stalled)
			}
		}
	}, false},
}

func other(node, n int) int { return (node + n) % size }

// kill kills nodes.
func (c *cluster) kill(nodes ...int) {
	for _, i := range nodes {
		c.nodes[i].signal(syscall.SIGKILL)
		<-c.nodes[i].ended
	}
}

// restart starts the nodes that were killed.
func (c *cluster) restart() {
	for i, node := range c.nodes {
		select {
		case <-node.ended:
			c.start(i)
		default:
		}
	}
}

var rounds = flag.Int("rounds", 1, "how often the cluster goes through all faults")

// The log stays linearizable under faults, and the cluster is of use after each.
func TestRaftUnderFaults(t *testing.T) {
	leak.Check(t)
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			c := newCluster(t, variant)
			h := &history{t: t, load: c.client("load")}
			h.done(50)
			for range *rounds {
				for _, f := range faults {
					h.suffer(c, f)
				}
			}
			h.end()
		})
	}
}

// suffer has a fault befall the cluster, and ends it.
func (h *history) suffer(c *cluster, f fault) {
	h.t.Helper()
	h.catchUp()
	before := len(h.ops)
	f.do(c, c.lead())
	time.Sleep(2 * time.Second) // real time: as long as a few elections take
	h.catchUp()
	during := len(h.ops) - before
	c.heal()
	c.restart()
	healed := time.Now()
	h.done(50)
	if !f.hangs {
		require.Positive(h.t, during, f.name)
	}
	h.t.Logf("%s: %d operations meanwhile; 50 more in %v", f.name, during, time.Since(healed))
}

// A leader that is frozen for good is replaced within a second. With net/rpc, clients that set no
// time limits do not learn of that.
func TestRaftLeaderIsFrozen(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, variant string) {
		c := newCluster(t, variant)
		h := &history{t: t, load: c.client("load", "-wander=false")}
		h.done(200)
		time.Sleep(2 * time.Second) // real time: by then the client knows that pings are answered
		h.catchUp()
		c.nodes[c.lead()].freeze()
		time.Sleep(200 * time.Millisecond) // real time: what it has answered is on its way
		h.catchUp()
		if variant == ours {
			h.done(500)
		} else {
			_, done := h.load.lineWithin(10 * time.Second)
			require.False(t, done)
		}
		c.heal()
		h.end()
	})
}
