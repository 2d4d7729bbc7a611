package rescue

import (
	"time"

	"resilientrpc/balancer"
)

// guardedPolicy is a Dialer.Balancer that may panic.
type guardedPolicy struct {
	balancer.Policy
	panics *Log
}

// Policy returns a policy that does not panic: where p does, the balancer chooses by itself.
// It is nil if p is.
func Policy(p balancer.Policy, panics *Log) balancer.Policy {
	if p == nil {
		return nil
	}
	return guardedPolicy{p, panics}
}

// Picker implements balancer.Policy.
func (p guardedPolicy) Picker(v *balancer.View) (out balancer.Picker) {
	defer p.rescue(func() { out = guardedPicker{policy: p} })
	return guardedPicker{p.Policy.Picker(v), p}
}

func (p guardedPolicy) rescue(then func()) {
	if value := recover(); value != nil {
		p.panics.Note(Panicked("Balancer", value))
		then()
	}
}

// guardedPicker is a picker of such a policy; nil if the policy has panicked instead.
type guardedPicker struct {
	balancer.Picker
	policy guardedPolicy
}

// Pick implements balancer.Picker.
func (p guardedPicker) Pick(now time.Time, in balancer.PickInfo) (n *balancer.Node) {
	if p.Picker == nil {
		return nil
	}
	defer p.policy.rescue(func() { n = nil })
	return p.Picker.Pick(now, in)
}
