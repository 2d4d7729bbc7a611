// Package plugin tests rpcx with plugins as hashicorp/go-plugin has them: processes that
// serve net/rpc over streams of hashicorp/yamux, whose users are given a *rpc.Client. It is a
// module of its own for its dependency.
package plugin
