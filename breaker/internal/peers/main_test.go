package main

import (
	"os"
	"slices"
	"testing"
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
