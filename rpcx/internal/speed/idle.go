package main

import (
	"encoding/json"
	"errors"
	"net/rpc"
	"runtime"
	"slices"
	"time"

	"resilientrpc/rpcx"
)

// A footprint is what idle endpoints cost the process of their client.
type footprint struct {
	Endpoints  int
	Bytes      float64 // of heap and stacks
	Goroutines float64
}

func (f footprint) kilobytes() float64  { return f.Bytes / 1000 / float64(f.Endpoints) }
func (f footprint) goroutines() float64 { return f.Goroutines / float64(f.Endpoints) }

// An idleOrder has a child connect to endpoints and let them be.
type idleOrder struct {
	Client string
	Addrs  []string
	Rest   time.Duration // before it is measured
}

// idling measures footprints in a process of their own, where nothing else comes and
// goes, after three times the duration: by default the first heartbeat is over then.
func idling(client string, f func(footprint) float64) subject {
	return func(a *addresses) (trial, error) {
		measure := func(d time.Duration) (float64, error) {
			var got footprint
			p, err := startChild("idle", idleOrder{client, a.Idle, 3 * d}, &got)
			if err != nil {
				return 0, err
			}
			return f(got), p.stop()
		}
		return trial{measure, func() error { return nil }}, nil
	}
}

// idleRole measures a footprint. What the first client of a process leaves in the
// process for good does not count.
func idleRole(order *json.Decoder, answer *json.Encoder) (err error) {
	var o idleOrder
	if err := order.Decode(&o); err != nil {
		return err
	}
	connect := connectNetRPC
	if o.Client == "rpcx" {
		connect = connectRPCX
	}
	closeFirst, err := connect(o.Addrs[:1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFirst()) }()
	before := usage()
	closeAll, err := connect(o.Addrs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	time.Sleep(o.Rest)
	f := usage()
	return answer.Encode(footprint{len(o.Addrs), f.Bytes - before.Bytes, f.Goroutines - before.Goroutines})
}

// connectNetRPC makes a client for each endpoint.
func connectNetRPC(addrs []string) (closeAll func() error, err error) {
	var clients []*rpc.Client
	closeAll = func() (err error) {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for _, addr := range addrs {
		c, err := rpc.Dial("tcp", addr)
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
		clients = append(clients, c)
	}
	return closeAll, nil
}

// connectRPCX makes one client and waits until it is connected to all endpoints.
func connectRPCX(addrs []string) (closeAll func() error, err error) {
	d := rpcx.Dialer{Subset: -1} // all of them: the default is 20 of so many
	c, err := d.Dial("tcp", addrs...)
	if err != nil {
		return nil, err
	}
	unconnected := func(e rpcx.EndpointStats) bool { return !e.Connected }
	for slices.ContainsFunc(c.Stats().Endpoints, unconnected) {
		time.Sleep(time.Millisecond)
	}
	return c.Close, nil
}

// usage is this process's footprint.
func usage() footprint {
	var m runtime.MemStats
	for range 3 { // finalizers take a second collection, pools a third
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return footprint{Bytes: float64(m.HeapAlloc + m.StackInuse), Goroutines: float64(runtime.NumGoroutine())}
}
