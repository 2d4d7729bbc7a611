package balancer

// Populate is populate, for the comparison with the paper's pseudocode.
var Populate = populate

// Permutation is permutation, for the same.
var Permutation = permutation

// Decay is decay, for the comparison with exp.
var Decay = decay
