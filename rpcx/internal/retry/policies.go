package retry

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Policies makes the policies of calls: Retry.BackOff. A user's policy is reset when its
// call starts, since some count the time from then on (cenkalti/backoff#188). So as not
// to make one for each call that succeeds at once, those that were not asked are kept
// for other calls. It is safe for concurrent use, once Make is set.
type Policies struct {
	Make  func() backoff.BackOff // nil for the default, which does not look at the time
	spare sync.Pool
}

// Take returns a policy for a call that starts. It may be nil.
func (p *Policies) Take() backoff.BackOff {
	if p.Make == nil {
		return nil // Ensure makes it
	}
	policy, ok := p.spare.Get().(backoff.BackOff)
	if !ok {
		policy = p.Make()
	}
	if policy != nil {
		policy.Reset()
	}
	return policy
}

// Ensure returns the policy of a call that asks it now: the default one if Take has not made
// it. It is nil if Make has returned none.
func (p *Policies) Ensure(policy backoff.BackOff) backoff.BackOff {
	if policy == nil && p.Make == nil {
		return defaultBackOff()
	}
	return policy
}

// Put takes back a policy that was not asked.
func (p *Policies) Put(policy backoff.BackOff) {
	if policy != nil {
		p.spare.Put(policy)
	}
}

func defaultBackOff() backoff.BackOff {
	// Uniform in 0…2×interval is full jitter under twice the interval.
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(25*time.Millisecond),
		backoff.WithRandomizationFactor(1),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(500*time.Millisecond),
		backoff.WithMaxElapsedTime(0))
}
