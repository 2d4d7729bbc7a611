package balancer

// Populate is populate, for the comparison with the paper's pseudocode.
var Populate = populate

// Permutation is permutation, for the comparison with the paper's pseudocode.
var Permutation = permutation

// Decay is decay, for the comparison with exp.
var Decay = decay

// Locked reports whether any lock of b is held.
func (b *Balancer) Locked() bool {
	if !b.mu.TryLock() {
		return true
	}
	b.mu.Unlock()
	if !b.subset.mu.TryLock() {
		return true
	}
	b.subset.mu.Unlock()
	return false
}
