package main

import (
	"os"
	"slices"
	"testing"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/timeout"
)

func TestMain(m *testing.M) {
	alone()
	os.Exit(m.Run())
}

// failures are the hard cases that each contender gets wrong. A peer that
// improves breaks this test, as we do if we get worse.
var failures = map[string][]int{
	"ours":             nil,
	"gobreaker window": {3, 4, 12, 14, 17, 19, 20, 22, 23},
	"gobreaker run":    {3, 4, 12, 16, 18, 20, 22, 23},
	"failsafe rate":    {1, 2, 3, 4, 6, 11, 12, 17, 19, 20, 22},
	"failsafe count":   {1, 2, 3, 4, 6, 11, 12, 16, 18, 19, 20, 22},
}

// A Timeout within failsafe's breaker is no help against a hung probe: it too
// waits for the function to return.
func TestFailsafeTimeoutDoesNotSaveAHungProbe(t *testing.T) {
	c := hardCases[2]
	who := contender{"failsafe with Timeout", func(s settings) guard {
		g := newFailsafeRate(s).(failsafeGuard)
		g.executor = failsafe.With[any](g.CircuitBreaker, timeout.New[any](attemptTimeout))
		return g
	}, true}
	if err := c.run(t, who); err == nil {
		t.Errorf("%s passes now", c.name)
	}
}

func TestHardCases(t *testing.T) {
	for _, who := range contenders {
		t.Run(who.name, func(t *testing.T) {
			for _, c := range hardCases {
				t.Run(c.name, func(t *testing.T) {
					err := c.run(t, who)
					switch fails := slices.Contains(failures[who.name], c.number); {
					case fails && err == nil:
						t.Error("passes now")
					case !fails && err != nil:
						t.Error(err)
					}
				})
			}
		})
	}
}
