// Package subtest runs the subtests of a test at the same time.
package subtest

import (
	"sync"
	"testing"
)

// A Group is the subtests of one test that run at the same time. The zero value is
// empty.
//
// They run in the turn of their parent. Parallel subtests of a parallel test do not:
// they begin when each parallel test of the package has begun, and a package whose
// subtests wait for the clock would wait for them at its end.
type Group struct{ running sync.WaitGroup }

// Run starts f as the subtest name of t.
func (g *Group) Run(t *testing.T, name string, f func(t *testing.T)) {
	g.running.Go(func() { t.Run(name, f) })
}

// Wait returns when all subtests of the group have ended. A test defers it before it
// runs the first: t must not end before them.
func (g *Group) Wait() { g.running.Wait() }
