package rpcx

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// policies makes the policies of calls: Retry.BackOff. A user's policy is reset when its
// call starts, since some count the time from then on (cenkalti/backoff#188). So as not
// to make one for each call that succeeds at once, those that were not asked are kept
// for other calls.
type policies struct {
	make  func() backoff.BackOff // nil for the default, which does not look at the time
	spare sync.Pool
}

// take returns a policy for a call that starts. It may be nil.
func (p *policies) take() backoff.BackOff {
	if p.make == nil {
		return nil // made when it is needed
	}
	policy, ok := p.spare.Get().(backoff.BackOff)
	if !ok {
		policy = p.make()
	}
	if policy != nil {
		policy.Reset()
	}
	return policy
}

// put takes back a policy that was not asked.
func (p *policies) put(policy backoff.BackOff) {
	if policy != nil {
		p.spare.Put(policy)
	}
}

// nextBackOff asks the policy of the call how long to wait.
func (cl *call) nextBackOff() time.Duration {
	if cl.policy == nil && cl.client.policies.make == nil {
		cl.policy = defaultBackOff()
	}
	if cl.policy == nil {
		return backoff.Stop
	}
	cl.asked = true
	return cl.policy.NextBackOff()
}

// policyEnds returns when the policy itself is over, as one with a context may be.
func (cl *call) policyEnds() <-chan struct{} {
	if p, ok := cl.policy.(backoff.BackOffContext); ok {
		return p.Context().Done()
	}
	return nil
}
