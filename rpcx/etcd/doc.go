// Package etcd keeps the replicas of a service in etcd v3: servers register there,
// and clients follow the set.
//
// The key of a replica is the service's name, a slash and the replica's address. It exists as
// long as the server's lease. Its value is empty, or a JSON object with the other fields of
// [rpcx.Endpoint]:
//
//	etcdctl put calc/10.0.0.1:1234 '{"weight":2,"priority":1,"metadata":{"zone":"a"}}'
//
// The package is a module of its own, so that rpcx does not depend on etcd.
package etcd
