//go:build unix

package realworld

import (
	"fmt"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// size is the number of nodes.
const size = 5

// clients is the place of the clients among the nodes.
const clients = size

// A cluster is five nodes, with a proxy between any two and before each.
type cluster struct {
	t       *testing.T
	variant string
	dir     string
	nodes   [size]*process
	proxies [size + 1][size]*proxy // from, to
	leader  int                    // that of the highest term so far
	term    int
}

func newCluster(t *testing.T, variant string) *cluster {
	t.Helper()
	c := &cluster{t: t, variant: variant, dir: t.TempDir()}
	for i := range c.nodes {
		c.start(i)
	}
	for from := range c.proxies {
		for to := range size {
			name := fmt.Sprint(from)
			if from == clients {
				name = "c"
			}
			if from != to {
				c.proxies[from][to] = newProxy(t, c.path("%s-%d.sock", name, to), c.path("%d.sock", to))
			}
		}
	}
	return c
}

func (c *cluster) path(format string, args ...any) string {
	return filepath.Join(c.dir, fmt.Sprintf(format, args...))
}

// start starts a node, also one that was killed.
func (c *cluster) start(i int) {
	c.t.Helper()
	c.nodes[i] = start(c.t, c.variant, "raft", "node", "-dir", c.dir, "-id", fmt.Sprint(i))
	require.Equal(c.t, "ready", c.nodes[i].line())
}

func (c *cluster) client(kind string, flags ...string) *process {
	c.t.Helper()
	return start(c.t, c.variant, "raft", append([]string{kind, "-dir", c.dir}, flags...)...)
}

// lead returns the number of the node that leads, as far as it is known.
func (c *cluster) lead() int {
	c.t.Helper()
	for deadline := time.Now().Add(aWhile); ; time.Sleep(10 * time.Millisecond) {
		for i, node := range c.nodes {
			for line, ok := node.lineWithin(0); ok; line, ok = node.lineWithin(0) {
				var term int
				_, err := fmt.Sscanf(line, "leader %d", &term)
				require.NoError(c.t, err, line)
				if term > c.term {
					c.leader, c.term = i, term
				}
			}
		}
		if c.term > 0 {
			return c.leader
		}
		require.True(c.t, time.Now().Before(deadline), "there is no leader")
	}
}

// isolate puts the proxies between the nodes named and all others in a condition.
func (c *cluster) isolate(to condition, nodes ...int) {
	in := make(map[int]bool)
	for _, i := range nodes {
		in[i] = true
	}
	for a, row := range c.proxies {
		for b, p := range row {
			if p != nil && in[a] != in[b] {
				p.set(to)
			}
		}
	}
}

// heal ends all faults, but for nodes that were killed.
func (c *cluster) heal() {
	for _, row := range c.proxies {
		for _, p := range row {
			if p != nil {
				p.set(passing)
			}
		}
	}
	for _, node := range c.nodes {
		node.signal(syscall.SIGCONT)
	}
}

// unnamed is what is left out of the texts of errors, so that there are few.
var unnamed = regexp.MustCompile(`unix @->\S+ | at /\S+|[;:] ?(silent|\d|last|the peer has never|/).*`)

// history is what the callers of a load see.
type history struct {
	t    *testing.T
	load *process
	ops  []op
}

// done waits until n more operations are known to be done.
func (h *history) done(n int) {
	h.t.Helper()
	for n > 0 {
		if h.take(h.load.line()) {
			n--
		}
	}
}

// catchUp takes what has ended already.
func (h *history) catchUp() {
	h.t.Helper()
	for line, ok := h.load.lineWithin(0); ok; line, ok = h.load.lineWithin(0) {
		h.take(line)
	}
}

// take notes an operation, and reports whether it is known to be done.
func (h *history) take(line string) bool {
	o := parseOp(h.t, line)
	h.ops = append(h.ops, o)
	return o.Known
}

// end ends the load and checks what it has seen.
func (h *history) end() {
	h.t.Helper()
	for _, line := range h.load.rest() {
		h.take(line)
	}
	errs := make(map[string]int)
	known := 0
	for _, o := range h.ops {
		if o.Known {
			known++
		} else {
			text := unnamed.ReplaceAllString(o.Error, "")
			errs[text]++
		}
	}
	h.t.Logf("%d operations done, others: %v", known, errs)
	begun := time.Now()
	requireLinearizable(h.t, h.ops)
	h.t.Log("checked in", time.Since(begun))
}
