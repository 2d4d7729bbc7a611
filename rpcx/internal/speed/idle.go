package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"runtime"
	"slices"
	"time"

	"resilientrpc/rpcx"
)

// A footprint is what an idle endpoint costs the process of its client.
type footprint struct {
	Bytes      float64 // of heap and stacks
	Goroutines float64
}

func (f footprint) kilobytes() float64  { return f.Bytes / 1000 }
func (f footprint) goroutines() float64 { return f.Goroutines }

// connects are how the clients of an idleOrder connect.
var connects = map[string]func(addrs []string) (closeAll func() error, err error){
	"net/rpc":       connectNetRPC,
	"rpcx":          connectRPCX(rpcx.Dialer{}),
	"rpcx unpinged": connectRPCX(rpcx.Dialer{Heartbeat: time.Hour}),
}

// An idleOrder has a child connect a client to endpoints. Each further order is how long
// to wait, and is answered with the footprint after that.
type idleOrder struct {
	Client string // a key of connects
	Addrs  []string
}

// idling measures footprints in a process of their own, where nothing else comes and goes.
func idling(client string, f func(footprint) float64) subject {
	return func(a *addresses) (trial, error) {
		p, err := startChild("idle", idleOrder{client, a.Idle}, new(any))
		if err != nil {
			return trial{}, err
		}
		measure := func(d time.Duration) (float64, error) {
			var each footprint
			err := p.ask(d, &each)
			return f(each), err
		}
		return trial{measure, p.stop}, nil
	}
}

// idleRole measures footprints. What the first client of a process leaves there for good
// does not count.
func idleRole(orders *json.Decoder, answers *json.Encoder) (err error) {
	var o idleOrder
	if err := orders.Decode(&o); err != nil {
		return err
	}
	connect, ok := connects[o.Client]
	if !ok {
		return fmt.Errorf("no client %q", o.Client)
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
	if err := answers.Encode(nil); err != nil {
		return err
	}
	for {
		var rest time.Duration
		if err := orders.Decode(&rest); err != nil {
			return unlessEOF(err)
		}
		time.Sleep(rest)
		now, n := usage(), float64(len(o.Addrs))
		each := footprint{(now.Bytes - before.Bytes) / n, (now.Goroutines - before.Goroutines) / n}
		if err := answers.Encode(each); err != nil {
			return err
		}
	}
}

func unlessEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
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
func connectRPCX(d rpcx.Dialer) func([]string) (func() error, error) {
	return func(addrs []string) (closeAll func() error, err error) {
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
