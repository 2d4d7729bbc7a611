// Package settings measures what the settings of a [resilientrpc/rpcx.Dialer] are worth: its
// tests run a client in virtual time (testing/synctest) against three servers, on twelve
// workloads and under six faults, with each setting at its default and at fixed values.
//
//	go test ./rpcx/internal/settings -run TestTable -v -timeout 0 -args -table
//
// prints the tables in docs/tuning.md, in about ten minutes of processor time.
//
// # The score
//
// A client makes 100 calls a second for 35 s, at random times, of an idempotent method; all but
// those of the first 5 s are counted. From 10 s to 20 s the first of the servers is out of order.
// A cell's score is
//
//	the mean duration of the slowest 1 % of the calls × attempts per call
//
// in which a call that fails counts as 10 s. So a percent more load has to bring a percent of
// tail. Without a fault, a call in ten is of a method that is not idempotent: a server that is
// convicted by mistake fails such calls. Under a fault all calls are idempotent, for a fault
// costs the others the same with all settings.
//
// The loss of a default is its score divided by that of the best fixed value of the same
// setting, on the same workload and under the same fault, less one. A value is better only if it
// is so with each of the seeds, or the best of several would be chance: seeds make the workloads
// and the times of calls, and not the client's own random numbers.
package settings
