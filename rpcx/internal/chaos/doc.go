// Package chaos is for tests: it breaks real servers under load, by plan, and
// checks what their clients were told against what the servers have written down.
//
// [Run] starts three servers in processes of their own, each behind a [Proxy],
// and calls them through rpcx, over gob and over JSON-RPC, and through net/rpc
// with a redial by hand, while a schedule of faults runs over the replicas. A
// server writes the id of every call into its journal before it does anything
// else, so that the journals say which calls ran, and how often. The [Report]
// sets them beside the callers' records.
//
// A test binary that uses the package gives way to [Child] at the top of its
// TestMain, for the servers are that binary, run again.
//
// The package's own tests are short. The long ones have two of the three replicas
// out of order at a time, and are run for as long as one likes:
//
//	go test ./rpcx/internal/chaos -run 'Chaos$' -v -timeout 0 -chaos=30m -chaos.seed=7
//
// A plan is a function of its seed. What the machine makes of it is not: a
// seed brings back the faults, and not every interleaving.
package chaos
