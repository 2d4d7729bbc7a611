// Package rpcx is net/rpc's client for servers that may be slow, frozen or gone.
//
// Dial takes the place of rpc.Dial: the names, parameters and results are the
// same, and swapping the import is enough. An address may list replicas; then
// every call goes to one that works.
package rpcx
