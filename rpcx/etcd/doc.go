// Package etcd keeps the replicas of a service in etcd v3: servers register there,
// and clients follow the set.
//
// A replica is a key, the service's name, a slash and the replica's address, which
// lives as long as the server's lease. Its value is empty or a JSON object with what
// else [rpcx.Endpoint] has:
//
//	etcdctl put calc/10.0.0.1:1234 '{"weight":2,"priority":1,"metadata":{"zone":"a"}}'
//
// The package is a module of its own, so that rpcx needs nothing of etcd's.
package etcd
