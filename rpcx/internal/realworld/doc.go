// Package realworld tests rpcx as the import of whole programs: a plugin host, a service catalog,
// a debugger, a replicated log and a daemon, each written for net/rpc. The tests compile each
// program twice, as it is and with its import lines changed as the README says, and
// compare what the two print. It is a module of its own for its dependencies, and not a part
// of the gate: .ci/run long runs it.
package realworld
